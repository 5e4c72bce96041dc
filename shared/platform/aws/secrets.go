package aws

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/platform"
)

// Secrets reads AWS Secrets Manager:
//
//	secret://NAME or secret://ARN
//
// in the function's region and with its role. Reading is left to platform.Vault to
// keep. The zero value is ready.
type Secrets struct {
	Client *secretsmanager.Client // nil = of the environment, at the first secret

	mu sync.Mutex
}

var _ env.Resolver = (*Secrets)(nil)

// Resolve implements env.Resolver.
func (s *Secrets) Resolve(ctx context.Context, ref string) (string, error) {
	id := strings.TrimPrefix(ref, platform.Reference)
	if id == "" {
		return "", fault.New(fault.Invalid, "%q names no secret: want secret://NAME or secret://ARN", ref)
	}
	client, err := s.open(ctx)
	if err != nil {
		return "", fault.New(fault.Invalid, "secrets: the configuration of AWS: %w", err)
	}
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
	if err != nil {
		return "", explain(id, err)
	}
	if out.SecretString != nil {
		return *out.SecretString, nil
	}
	return string(out.SecretBinary), nil
}

func (s *Secrets) open(ctx context.Context) (*secretsmanager.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Client == nil {
		cfg, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return nil, err
		}
		s.Client = secretsmanager.NewFromConfig(cfg)
	}
	return s.Client, nil
}

// explain says what an error of Amazon's means to us.
func explain(id string, err error) error {
	err = fmt.Errorf("read secret %s: %w", id, err)
	var answer smithy.APIError
	if !errors.As(err, &answer) {
		return fault.New(fault.Transient, "%w", err)
	}
	switch answer.ErrorCode() {
	case "AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException", "InvalidSignatureException", "DecryptionFailure":
		return fault.New(fault.Auth, "%w: the function's role needs secretsmanager:GetSecretValue on it", err)
	case "ResourceNotFoundException", "InvalidParameterException", "InvalidRequestException", "ValidationException":
		return fault.New(fault.Invalid, "%w: give it a value", err)
	case "ThrottlingException":
		return fault.New(fault.Limited, "%w", err)
	}
	return fault.New(fault.Transient, "%w", err)
}
