package reverse

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash"
	"slices"
	"strings"

	"github.com/millrace-data/millrace/shared/fault"
)

// digest is the hash of a plan on its way: over what it was made of and every
// change in order, and over neither its id nor the time, so that the same writes
// have the same hash.
type digest struct{ h hash.Hash }

// newHash begins with what the plan is made of. The job is its JSON, whose keys are
// in order.
func newHash(p *Plan) (*digest, error) {
	job, err := json.Marshal(p.Job)
	if err != nil {
		return nil, fault.New(fault.Invalid, "job of sync %s: %w", p.Sync, err)
	}
	d := &digest{sha256.New()}
	d.text(string(job))
	d.text(p.Sync)
	d.text(p.Object)
	d.text(string(p.Operation))
	d.text(p.Undoes)
	return d, nil
}

// add takes one change. The id of a record that is to be created is not known yet,
// and comes to be in the stored row; what Accepted says is not written.
func (d *digest) add(c Change) {
	d.number(c.N)
	d.text(c.Key)
	d.text(string(c.Kind))
	if c.Kind != KindCreate {
		d.text(c.ID)
	}
	d.number(int64(len(c.Fields)))
	for _, f := range c.Fields {
		d.text(f.Field)
		d.maybe(f.Before)
		d.maybe(f.After)
	}
}

func (d *digest) sum() string { return hex.EncodeToString(d.h.Sum(nil)) }

// text is preceded by its length, so that no two lists of texts look alike.
func (d *digest) text(s string) {
	d.number(int64(len(s)))
	d.h.Write([]byte(s))
}

func (d *digest) maybe(s *string) {
	if s == nil {
		d.number(-1)
		return
	}
	d.text(*s)
}

func (d *digest) number(n int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	d.h.Write(b[:])
}

// hashOf computes the hash of a plan again, from the rows as they are stored now.
func (e *Engine) hashOf(ctx context.Context, p *Plan) (string, error) {
	d, err := newHash(p)
	if err != nil {
		return "", err
	}
	for c, err := range e.changes(ctx, p) {
		if err != nil {
			return "", err
		}
		d.add(c)
	}
	return d.sum(), nil
}

// sorted puts a change's fields in the order in which they are stored.
func sorted(c Change) Change {
	byName := func(a, b FieldChange) int { return strings.Compare(a.Field, b.Field) }
	if !slices.IsSortedFunc(c.Fields, byName) {
		c.Fields = slices.Clone(c.Fields)
		slices.SortFunc(c.Fields, byName)
	}
	return c
}
