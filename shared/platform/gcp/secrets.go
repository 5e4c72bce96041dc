package gcp

import (
	"context"
	"fmt"
	"hash/crc32"
	"strings"
	"sync"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/millrace-data/millrace/shared/fault"
)

// Secrets resolves references to Google's Secret Manager: secret://NAME, of the
// project, or secret://projects/P/secrets/NAME, each with an optional
// /versions/VERSION, else the latest. It connects when the first one is asked for.
type Secrets struct {
	Project string
	Options []option.ClientOption // of the client; none = the function's service account

	mu     sync.Mutex
	client *secretmanager.Client
}

// Resolve implements env.Resolver.
func (s *Secrets) Resolve(ctx context.Context, ref string) (string, error) {
	name, err := s.name(ref)
	if err != nil {
		return "", err
	}
	c, err := s.connect(ctx)
	if err != nil {
		return "", err
	}
	got, err := c.AccessSecretVersion(ctx, &secretmanagerpb.AccessSecretVersionRequest{Name: name})
	if err != nil {
		return "", kind(fmt.Errorf("secret manager, %s: %w", name, err))
	}
	data := got.GetPayload().GetData()
	if want := got.GetPayload().DataCrc32C; want != nil && int64(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))) != *want {
		return "", fault.New(fault.Transient, "secret manager, %s: the value was damaged on its way", name)
	}
	return string(data), nil
}

func (s *Secrets) name(ref string) (string, error) {
	name := strings.TrimPrefix(ref, "secret://")
	if !strings.HasPrefix(name, "projects/") {
		if s.Project == "" {
			return "", fault.New(fault.Invalid, "reference %s names no project: set GOOGLE_CLOUD_PROJECT, or write secret://projects/P/secrets/NAME", ref)
		}
		name = "projects/" + s.Project + "/secrets/" + name
	}
	if !strings.Contains(name, "/versions/") {
		name += "/versions/latest"
	}
	if parts := strings.Split(name, "/"); len(parts) != 6 || parts[2] != "secrets" || parts[3] == "" {
		return "", fault.New(fault.Invalid, "reference %s is none: want secret://NAME or secret://projects/P/secrets/NAME", ref)
	}
	return name, nil
}

func (s *Secrets) connect(ctx context.Context) (*secretmanager.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, nil
	}
	c, err := secretmanager.NewClient(context.WithoutCancel(ctx), s.Options...)
	if err != nil {
		return nil, fault.New(fault.Auth, "secret manager: %w", err)
	}
	s.client = c
	return c, nil
}

func kind(err error) error {
	switch status.Code(err) {
	case codes.NotFound, codes.InvalidArgument, codes.FailedPrecondition: // disabled or destroyed
		return fault.New(fault.Invalid, "%w", err)
	case codes.PermissionDenied, codes.Unauthenticated:
		return fault.New(fault.Auth, "%w; grant the function's service account roles/secretmanager.secretAccessor on it", err)
	}
	return err
}
