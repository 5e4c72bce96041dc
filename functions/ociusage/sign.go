package ociusage

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/oracle/oci-go-sdk/v65/common"

	"github.com/millrace-data/millrace/shared/fault"
)

// signed signs each request as Oracle's SDK does, with the SDK's own code.
//
// The SDK's client for Object Storage is not used: its retries ignore Retry-After
// and leave a goroutine asleep when the context ends, a download that breaks off
// in the middle is not retried at all, and its timeout covers the whole body.
// Package rest does these; what remains of a client is two paths.
type signed struct {
	endpoint string // scheme and host
	host     string
	signer   common.HTTPRequestSigner
	next     http.RoundTripper
}

func sign(c Config, next http.RoundTripper) (*signed, error) {
	pem := strings.ReplaceAll(c.PrivateKey.Reveal(), `\n`, "\n") // one-line variables
	key := common.NewRawConfigurationProvider(c.Tenancy, c.User, c.Region, c.Fingerprint, pem, nil)
	if _, err := key.PrivateRSAKey(); err != nil { // the cause may quote the key
		return nil, fault.New(fault.Invalid, "OCI_PRIVATE_KEY is not the PEM text of an RSA key without a passphrase")
	}
	s := &signed{endpoint: strings.TrimRight(c.URL, "/"), signer: common.DefaultRequestSigner(key), next: next}
	if s.endpoint == "" {
		s.endpoint = common.StringToRegion(c.Region).EndpointForTemplate("objectstorage", "https://objectstorage.{region}.{secondLevelDomain}")
	}
	u, err := url.Parse(s.endpoint)
	if err != nil {
		return nil, fault.New(fault.Invalid, "OCI_REGION and OCI_OBJECTSTORAGE_URL make no address: want a region id, or https://HOST")
	}
	s.host = u.Host
	return s, nil
}

// RoundTrip signs a copy of the request, anew for each try since the date is part
// of the signature: Oracle compares it with its clock, so it is the real time and
// not the invocation's. A redirect to another host goes there unsigned.
func (s *signed) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != s.host {
		return s.next.RoundTrip(r)
	}
	r = r.Clone(r.Context())
	r.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	if err := s.signer.Sign(r); err != nil {
		return nil, fault.New(fault.Invalid, "sign the request: %w", err)
	}
	return s.next.RoundTrip(r)
}

// refusal gives Oracle's errors their kind. Oracle answers 404, not 403, where a
// policy is missing, so only ObjectNotFound means that an object is not there.
// The request id is what Oracle's support asks for first.
func refusal(status int, h http.Header, body []byte) error {
	var e struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(body, &e) // no code is as good as a strange one
	say := func(kind error, text string) error {
		return fault.New(kind, "status %d %.100q: %s; opc-request-id %s", status, e.Code, text, h.Get("Opc-Request-Id"))
	}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return say(fault.Auth, "Oracle does not accept the signature: check OCI_USER, OCI_FINGERPRINT, OCI_PRIVATE_KEY and this machine's clock")
	case status == http.StatusNotFound && e.Code == "ObjectNotFound":
		return say(fault.NotFound, "the object is gone since it was listed; Oracle keeps reports for a year")
	case status == http.StatusNotFound:
		return say(fault.Auth, "Oracle shows no such bucket: check the policy (endorse group … to read objects in tenancy usage-report), that OCI_REGION is the home region, and the tenancy OCID")
	case status == http.StatusPreconditionFailed:
		return say(fault.NotFound, "the object changed since it was listed; list again, the new version is a slice of its own")
	case status == http.StatusConflict || status == http.StatusInternalServerError:
		return say(fault.Transient, "Oracle could not answer")
	case status == http.StatusBadRequest:
		return say(fault.Invalid, "Oracle does not take this request")
	}
	return nil // what package rest makes of it, Retry-After included
}
