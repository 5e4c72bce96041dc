package env

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/millrace-data/millrace/shared/fault"
)

const (
	mask      = "***"
	reference = "secret://"
)

// Secret is a value that does not show when it is printed, logged or encoded.
// The zero Secret is empty. Secrets are not comparable with ==.
type Secret struct {
	// A pointer, since fmt does not call methods of unexported fields: a Secret in
	// one of those prints as an address.
	value *string
}

// NewSecret makes a Secret of a plain value.
func NewSecret(value string) Secret { return Secret{&value} }

// Reveal returns the value. Call it where the value is sent, nowhere else.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Format prints *** for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, mask) }

// String is ***.
func (Secret) String() string { return mask }

// LogValue is *** for slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(mask) }

// MarshalText is *** for JSON and every other encoder.
func (Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }

// Decode takes the value of a variable; envconfig calls it. A reference that
// nobody resolved is refused, lest it is sent to a vendor as if it were a key.
func (s *Secret) Decode(value string) error {
	if strings.HasPrefix(value, reference) {
		return fmt.Errorf("%s… is a reference, which this platform has not resolved: give the value itself", reference)
	}
	s.value = &value
	return nil
}

// Resolver fetches a secret. The reference begins with "secret://"; what follows
// is the platform's own name for it. Errors carry a fault kind.
type Resolver interface {
	Resolve(ctx context.Context, ref string) (string, error)
}

// Resolved looks in environ (as os.Environ returns it), after every value in it
// that is a reference was fetched once from r. The first error ends it; it names
// the variable and keeps the resolver's fault kind.
func Resolved(ctx context.Context, environ []string, r Resolver) (Lookup, error) {
	m := make(map[string]string, len(environ))
	for _, pair := range environ {
		key, value, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(value, reference) {
			secret, err := r.Resolve(ctx, value)
			if err != nil {
				return nil, fmt.Errorf("secret of variable %s: %w", key, err)
			}
			if secret == "" {
				return nil, fault.New(fault.Invalid, "secret of variable %s is empty: check what it refers to", key)
			}
			value = secret
		}
		m[key] = value
	}
	return Map(m), nil
}
