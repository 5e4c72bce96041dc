package gcp_test

import (
	"context"
	"errors"
	"hash/crc32"
	"net"
	"strings"
	"sync"
	"testing"

	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/platform/gcp"
)

// manager is Secret Manager on loopback.
type manager struct {
	secretmanagerpb.UnimplementedSecretManagerServiceServer

	mu      sync.Mutex
	values  map[string]string // by version name
	errs    map[string]error
	damaged bool
	asked   []string
}

// AccessSecretVersion implements the one call that we make.
func (m *manager) AccessSecretVersion(_ context.Context, r *secretmanagerpb.AccessSecretVersionRequest) (*secretmanagerpb.AccessSecretVersionResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, r.Name)
	if err := m.errs[r.Name]; err != nil {
		return nil, err
	}
	value, ok := m.values[r.Name]
	if !ok {
		return nil, status.Error(codes.NotFound, "no such version")
	}
	sum := int64(crc32.Checksum([]byte(value), crc32.MakeTable(crc32.Castagnoli)))
	if m.damaged {
		sum++
	}
	return &secretmanagerpb.AccessSecretVersionResponse{Name: r.Name, Payload: &secretmanagerpb.SecretPayload{Data: []byte(value), DataCrc32C: &sum}}, nil
}

func secrets(t *testing.T, m *manager) *gcp.Secrets {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	secretmanagerpb.RegisterSecretManagerServiceServer(srv, m)
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(l) }()
	t.Cleanup(func() { srv.Stop(); <-done })
	conn, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		t.Fatal(err)
	}
	s := &gcp.Secrets{Project: "acme", Options: []option.ClientOption{option.WithGRPCConn(conn)}}
	t.Cleanup(func() { s.Close(); conn.Close() })
	return s
}

func TestSecrets(t *testing.T) {
	m := &manager{values: map[string]string{"projects/acme/secrets/CLARI_API_KEY/versions/latest": "hush", "projects/other/secrets/K/versions/3": "third"}}
	s := secrets(t, m)
	for ref, want := range map[string]string{
		"secret://CLARI_API_KEY":                                       "hush",
		"secret://projects/acme/secrets/CLARI_API_KEY":                 "hush",
		"secret://projects/acme/secrets/CLARI_API_KEY/versions/latest": "hush",
		"secret://CLARI_API_KEY/versions/latest":                       "hush",
		"secret://projects/other/secrets/K/versions/3":                 "third",
	} {
		if got, err := s.Resolve(t.Context(), ref); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", ref, got, err, want)
		}
	}
	asked := len(m.asked)
	for _, ref := range []string{"secret://", "secret://a/b", "secret://projects/p", "secret://arn:aws:x"} {
		if _, err := s.Resolve(t.Context(), ref); !errors.Is(err, fault.Invalid) || len(m.asked) != asked {
			t.Errorf("%s: got %v after %d requests", ref, err, len(m.asked)-asked)
		}
	}
	s.Project = ""
	if _, err := s.Resolve(t.Context(), "secret://CLARI_API_KEY"); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "GOOGLE_CLOUD_PROJECT") {
		t.Errorf("without a project: %v", err)
	}
}

func TestSecretFaults(t *testing.T) {
	name := "projects/acme/secrets/K/versions/latest"
	m := &manager{values: map[string]string{name: "hush"}, errs: map[string]error{}}
	s := secrets(t, m)
	for code, kind := range map[codes.Code]error{codes.PermissionDenied: fault.Auth, codes.Unauthenticated: fault.Auth, codes.NotFound: fault.Invalid,
		codes.FailedPrecondition: fault.Invalid, codes.Internal: fault.Transient} {
		m.mu.Lock()
		m.errs[name] = status.Error(code, "no")
		m.mu.Unlock()
		if _, err := s.Resolve(t.Context(), "secret://K"); !errors.Is(err, kind) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want %v", code, err, kind)
		}
	}
	m.mu.Lock()
	m.errs, m.damaged = nil, true
	m.mu.Unlock()
	if _, err := s.Resolve(t.Context(), "secret://K"); !errors.Is(err, fault.Transient) || strings.Contains(err.Error(), "hush") {
		t.Errorf("a damaged secret: got %v", err)
	}
}
