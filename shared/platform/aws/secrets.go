package aws

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/go-json-experiment/json"

	"github.com/millrace-data/millrace/shared/fault"
)

// Secrets resolves references to AWS Secrets Manager: secret://NAME or secret://ARN,
// with #MEMBER where the secret is a JSON object. It connects when the first one is
// asked for.
type Secrets struct {
	Options []func(*config.LoadOptions) error // none = the function's role

	mu     sync.Mutex
	client *secretsmanager.Client
}

// Resolve implements env.Resolver.
func (s *Secrets) Resolve(ctx context.Context, ref string) (string, error) {
	id, member, _ := strings.Cut(strings.TrimPrefix(ref, "secret://"), "#")
	if id == "" {
		return "", fault.New(fault.Invalid, "reference %s names no secret: want secret://NAME or secret://NAME#MEMBER", ref)
	}
	c, err := s.connect(ctx)
	if err != nil {
		return "", err
	}
	got, err := c.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
	if err != nil {
		return "", kind(fmt.Errorf("secrets manager, %s: %w", id, err))
	}
	text := aws.ToString(got.SecretString)
	if text == "" {
		text = string(got.SecretBinary)
	}
	if member == "" {
		return text, nil
	}
	var object map[string]string
	if err := json.Unmarshal([]byte(text), &object); err != nil { // the error would quote the secret
		return "", fault.New(fault.Invalid, "secrets manager, %s: it is no JSON object of texts, but %s asks for a member of it", id, ref)
	}
	value, ok := object[member]
	if !ok {
		return "", fault.New(fault.Invalid, "secrets manager, %s: it has no member %s", id, member)
	}
	return value, nil
}

func (s *Secrets) connect(ctx context.Context) (*secretsmanager.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, nil
	}
	cfg, err := config.LoadDefaultConfig(context.WithoutCancel(ctx), s.Options...)
	if err != nil {
		return nil, fault.New(fault.Invalid, "secrets manager: the configuration of AWS: %w", err)
	}
	s.client = secretsmanager.NewFromConfig(cfg)
	return s.client, nil
}

func kind(err error) error {
	var missing *types.ResourceNotFoundException
	var answer *awshttp.ResponseError
	switch {
	case errors.As(err, &missing):
		return fault.New(fault.Invalid, "%w", err)
	case errors.As(err, &answer) && (answer.HTTPStatusCode() == http.StatusForbidden || answer.HTTPStatusCode() == http.StatusBadRequest):
		return fault.New(fault.Auth, "%w; allow the function's role secretsmanager:GetSecretValue on it", err)
	}
	return err
}
