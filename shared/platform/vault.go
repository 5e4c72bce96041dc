package platform

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
)

// Reference is what a variable has in the place of a secret:
//
//	secret://NAME           as the cloud names secrets, or in full, as terraform gives it
//	secret://NAME#MEMBER    one member of a secret that is a JSON object
const Reference = "secret://"

// Vault reads secrets and keeps each for a while, so that a rotation is seen
// without a deployment and an event costs no request. It is safe for concurrent use.
type Vault struct {
	From     env.Resolver
	Now      func() time.Time
	Lifetime time.Duration // how long a secret is kept; see Keep

	mu   sync.Mutex
	kept map[string]kept // by reference, without the member
}

type kept struct {
	value string
	until time.Time
}

var _ env.Resolver = (*Vault)(nil)

// Keep sets how long secrets are kept that are read from now on.
func (v *Vault) Keep(lifetime time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.Lifetime = lifetime
}

// Resolve implements env.Resolver. While the cloud's service does not answer, the
// value that was read before is used on: a secret that was rotated meanwhile is
// refused where it is used.
func (v *Vault) Resolve(ctx context.Context, ref string) (string, error) {
	name, member, _ := strings.Cut(ref, "#")
	v.mu.Lock()
	defer v.mu.Unlock()
	k, known := v.kept[name]
	if !known || !v.Now().Before(k.until) {
		value, err := v.From.Resolve(ctx, name)
		if err != nil && (!known || fault.Of(err) != fault.Transient && fault.Of(err) != fault.Limited) {
			return "", err
		}
		if err == nil {
			k.value = value
		}
		k.until = v.Now().Add(v.Lifetime)
		if v.kept == nil {
			v.kept = map[string]kept{}
		}
		v.kept[name] = k
	}
	if member == "" {
		return k.value, nil
	}
	return inside(k.value, name, member)
}

// Forget has every secret read again at its next use: one of them was refused.
func (v *Vault) Forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for name, k := range v.kept {
		k.until = time.Time{}
		v.kept[name] = k
	}
}

// inside takes one member out of a secret. Errors do not quote it.
func inside(value, name, member string) (string, error) {
	var members map[string]jsontext.Value
	if err := json.Unmarshal([]byte(value), &members); err != nil {
		return "", fault.New(fault.Invalid, "%s is not a JSON object, but a member of it is asked for: #%s", name, member)
	}
	v, ok := members[member]
	if !ok {
		return "", fault.New(fault.Invalid, "%s has no member %q", name, member)
	}
	if v.Kind() != '"' {
		return v.String(), nil
	}
	text, err := jsontext.AppendUnquote(nil, v)
	return string(text), err
}

// none refuses references, where the platform has no place for secrets.
type none struct{}

func (none) Resolve(context.Context, string) (string, error) {
	return "", fault.New(fault.Invalid, "this platform reads no secrets by reference: give the value itself")
}
