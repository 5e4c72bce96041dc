package aws

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"

	"cloud.google.com/go/auth/credentials/idtoken"
	"github.com/aws/aws-lambda-go/events"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/fault"
)

// request answers a request to the function URL.
func (h *Handler) request(ctx context.Context, event []byte, header http.Header, d chain.Delivery) events.LambdaFunctionURLResponse {
	n := h.node()
	var r events.LambdaFunctionURLRequest
	if json.Unmarshal(event, &r) != nil || r.RequestContext.Authorizer == nil || r.RequestContext.Authorizer.IAM == nil {
		if err := h.Tokens.Check(ctx, header.Get("Authorization")); err != nil {
			n.Log().WarnContext(ctx, "request refused", "function", n.Name(), "error", err)
			return response(http.StatusForbidden, map[string]string{"error": "this function URL takes signed requests of AWS, or a token of the Google account that it was set up for"})
		}
	}
	a := n.Handle(ctx, d)
	switch {
	case a.Again:
		return response(http.StatusServiceUnavailable, a)
	case a.Err != nil && d.Direct:
		return response(http.StatusUnprocessableEntity, a)
	}
	return response(http.StatusOK, a)
}

func response(status int, v any) events.LambdaFunctionURLResponse {
	body, _ := json.Marshal(v) // of texts and numbers: it cannot fail
	return events.LambdaFunctionURLResponse{StatusCode: status, Headers: map[string]string{"Content-Type": "application/json"}, Body: string(body)}
}

// Tokens says which tokens of Google's open a function URL that has no IAM: those
// that Pub/Sub signs for one service account and one audience.
type Tokens struct {
	Audience string // as the push subscription has it; MILLRACE_PUSH_AUDIENCE
	Account  string // the subscription's service account; MILLRACE_PUSH_ACCOUNT
	Keys     string // URL of Google's public keys; "" = Google's

	once      sync.Once
	validator *idtoken.Validator
	err       error
}

// Check is fault.Auth unless the header carries such a token.
func (t *Tokens) Check(ctx context.Context, authorization string) error {
	token, ok := strings.CutPrefix(authorization, "Bearer ")
	if !ok {
		return fault.New(fault.Auth, "the request is not signed and has no bearer token")
	}
	if t.Audience == "" || t.Account == "" {
		return fault.New(fault.Auth, "no token opens this function URL: set MILLRACE_PUSH_AUDIENCE and MILLRACE_PUSH_ACCOUNT, or its authorization to AWS_IAM")
	}
	t.once.Do(func() {
		t.validator, t.err = idtoken.NewValidator(&idtoken.ValidatorOptions{Client: http.DefaultClient, RS256CertsURL: t.Keys})
	})
	if t.err != nil {
		return fault.New(fault.Auth, "tokens of Google's cannot be checked: %w", t.err)
	}
	payload, err := t.validator.Validate(ctx, token, t.Audience)
	if err != nil {
		return fault.New(fault.Auth, "the token is not valid: %w", err)
	}
	issuer := strings.TrimPrefix(payload.Issuer, "https://")
	if email, _ := payload.Claims["email"].(string); issuer != "accounts.google.com" || email != t.Account || payload.Claims["email_verified"] != true {
		return fault.New(fault.Auth, "the token is of another account than the one in MILLRACE_PUSH_ACCOUNT")
	}
	return nil
}
