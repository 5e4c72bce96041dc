package gcp

import (
	"context"
	"fmt"
	"hash/crc32"
	"regexp"
	"strings"
	"sync"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/platform"
)

// Secrets reads Secret Manager:
//
//	secret://projects/PROJECT/secrets/NAME[/versions/VERSION]
//	secret://NAME[/versions/VERSION]      of Project
//
// Without a version it is the latest. The zero value uses the function's own
// credentials. Reading is left to platform.Vault to keep.
type Secrets struct {
	Project string                // of names without one
	Options []option.ClientOption // of the client; none = the function's service account

	mu     sync.Mutex
	client *secretmanager.Client
}

var _ env.Resolver = (*Secrets)(nil)

var (
	full = regexp.MustCompile(`^projects/[^/]+/secrets/[^/]+(/versions/[^/]+)?$`)
	name = regexp.MustCompile(`^[A-Za-z0-9_-]+(/versions/[^/]+)?$`)
)

// Resolve implements env.Resolver.
func (s *Secrets) Resolve(ctx context.Context, ref string) (string, error) {
	version, err := s.version(ref)
	if err != nil {
		return "", err
	}
	client, err := s.open(ctx)
	if err != nil {
		return "", fault.New(fault.Auth, "secret manager: %w; run as a service account", err)
	}
	out, err := client.AccessSecretVersion(ctx, &secretmanagerpb.AccessSecretVersionRequest{Name: version})
	if err != nil {
		return "", explain(version, err)
	}
	data := out.GetPayload().GetData()
	if sum := out.GetPayload().DataCrc32C; sum != nil && *sum != int64(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))) {
		return "", fault.New(fault.Transient, "%s was damaged on its way", version)
	}
	return string(data), nil
}

// version is a secret's version as Google names it.
func (s *Secrets) version(ref string) (string, error) {
	v := strings.TrimPrefix(ref, platform.Reference)
	if name.MatchString(v) {
		if s.Project == "" {
			return "", fault.New(fault.Invalid, "%s names no project, and GOOGLE_CLOUD_PROJECT is not set: want secret://projects/PROJECT/secrets/NAME", ref)
		}
		v = "projects/" + s.Project + "/secrets/" + v
	}
	if !full.MatchString(v) {
		return "", fault.New(fault.Invalid, "%.100q is no secret of Google's: want secret://projects/PROJECT/secrets/NAME/versions/VERSION", ref)
	}
	if !strings.Contains(v, "/versions/") {
		v += "/versions/latest"
	}
	return v, nil
}

// open makes the client at the first secret, so that a start costs nothing.
func (s *Secrets) open(ctx context.Context) (*secretmanager.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		// The client may keep the context.
		client, err := secretmanager.NewClient(context.WithoutCancel(ctx), s.Options...)
		if err != nil {
			return nil, err
		}
		s.client = client
	}
	return s.client, nil
}

// Close closes the client.
func (s *Secrets) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		return nil
	}
	err := s.client.Close()
	s.client = nil
	return err
}

// explain says what an error of Google's means to us.
func explain(version string, err error) error {
	err = fmt.Errorf("read %s: %w", version, err)
	switch status.Code(err) {
	case codes.Unauthenticated, codes.PermissionDenied:
		return fault.New(fault.Auth, "%w: the function's service account needs roles/secretmanager.secretAccessor on it", err)
	case codes.NotFound, codes.InvalidArgument, codes.FailedPrecondition:
		return fault.New(fault.Invalid, "%w: add a version that is enabled", err)
	case codes.ResourceExhausted:
		return fault.New(fault.Limited, "%w", err)
	}
	return fault.New(fault.Transient, "%w", err)
}
