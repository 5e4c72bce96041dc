package aws_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/platform/aws"
)

func TestSecrets(t *testing.T) {
	var asked atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		var in struct{ SecretId string }
		if json.NewDecoder(r.Body).Decode(&in) != nil || r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue" || !strings.Contains(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256") {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		answer := func(status int, v dict) {
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			w.WriteHeader(status)
			json.NewEncoder(w).Encode(v)
		}
		switch in.SecretId {
		case "clari", "arn:aws:secretsmanager:us-east-1:1:secret:clari-AbCdEf":
			answer(200, dict{"Name": in.SecretId, "SecretString": "hush", "VersionStages": []string{"AWSCURRENT"}})
		case "binary":
			answer(200, dict{"Name": in.SecretId, "SecretBinary": []byte("bytes")})
		case "away":
			answer(500, dict{"__type": "InternalServiceError", "message": "x"})
		default:
			answer(400, dict{"__type": in.SecretId, "message": "x"})
		}
	}))
	t.Cleanup(srv.Close)
	s := &aws.Secrets{Client: secretsmanager.New(secretsmanager.Options{Region: "us-east-1", BaseEndpoint: sdk.String(srv.URL),
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""), RetryMaxAttempts: 1})}
	for ref, want := range map[string]string{"secret://clari": "hush", "secret://arn:aws:secretsmanager:us-east-1:1:secret:clari-AbCdEf": "hush", "secret://binary": "bytes"} {
		if got, err := s.Resolve(t.Context(), ref); err != nil || got != want {
			t.Errorf("%s: got %q, %v", ref, got, err)
		}
	}
	for id, kind := range map[string]error{"ResourceNotFoundException": fault.Invalid, "InvalidRequestException": fault.Invalid, "AccessDeniedException": fault.Auth,
		"ThrottlingException": fault.Limited, "away": fault.Transient} {
		if _, err := s.Resolve(t.Context(), "secret://"+id); !errors.Is(err, kind) || !strings.Contains(err.Error(), id) {
			t.Errorf("%s: got %v, want %v", id, err, kind)
		}
	}
	before := asked.Load()
	if _, err := s.Resolve(t.Context(), "secret://"); !errors.Is(err, fault.Invalid) || asked.Load() != before {
		t.Errorf("no name: %v", err)
	}
}
