package stage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"gocloud.dev/gcerrors"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
)

// Part is one compressed file of rows, named and measured.
type Part struct {
	Key    string `json:"key"`
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`  // compressed
	SHA256 string `json:"sha256"` // hex, of the compressed bytes
}

// Drift is how the vendor's rows differed from the declared table; vendor names.
type Drift struct {
	New     []string `json:"new,omitempty"`
	Missing []string `json:"missing,omitempty"`
}

// Manifest describes one attempt at a slice, completely: a loader needs nothing
// else. It is written last, so an attempt that has one is whole.
type Manifest struct {
	Version int          `json:"version"` // 1
	Table   record.Table `json:"table"`   // with columns found on the way, where the table is open
	Rules   []gate.Rule  `json:"rules,omitempty"`

	Function string    `json:"function"`
	Slice    string    `json:"slice"`
	Purpose  string    `json:"purpose"`
	From     time.Time `json:"from,omitzero"`    // inclusive, UTC
	To       time.Time `json:"to,omitzero"`      // exclusive, UTC
	Source   string    `json:"source,omitempty"` // object name, of slices that are one object
	Fence    int64     `json:"fence"`
	Attempt  int64     `json:"attempt"`

	Parts        []Part `json:"parts"`
	Rejects      []Part `json:"rejects,omitempty"` // NDJSON lines {"row","reason","rule"}, all strings
	RowsSource   int64  `json:"rows_source"`
	RowsStaged   int64  `json:"rows_staged"`
	RowsRejected int64  `json:"rows_rejected"`
	Bytes        int64  `json:"bytes"` // compressed, of Parts

	Pages    int64             `json:"pages,omitempty"`
	Requests int64             `json:"requests,omitempty"`
	Retries  int64             `json:"retries,omitempty"`
	Cursor   string            `json:"cursor,omitempty"`   // the vendor's, stored with the mark
	Expected *int64            `json:"expected,omitempty"` // the source's own count of rows
	Sums     map[string]string `json:"sums,omitempty"`     // the source's own totals by column, decimal text
	Warnings []string          `json:"warnings,omitempty"`
	Drift    Drift             `json:"drift,omitzero"`

	CreatedAt time.Time `json:"created_at"`
	Digest    string    `json:"digest"` // hex SHA-256 over the parts' digests, the totals and the table
}

// version is the one that this package writes and reads.
const version = 1

// WriteManifest sets the manifest's Version and Digest, writes it into the
// attempt's folder and then calls Options.Arrived. An error with a key means that
// the manifest is visible and only its announcement failed: call Announce.
//
// There is one manifest in a folder. Where it is there already with the same rows,
// a write before this one was answered too late, and nothing is written. One with
// other rows that is older than claimed, when the slice was claimed, was left by a
// ledger that is no more, and gives way; a younger one is fault.Corrupt.
func (s *Store) WriteManifest(ctx context.Context, dir string, m *Manifest, claimed time.Time) (key string, err error) {
	m.Version = version
	if m.Digest, err = m.digest(); err != nil {
		return "", err
	}
	data, err := json.Marshal(m, jsontext.WithIndent("  "))
	if err != nil {
		return "", fault.New(fault.Invalid, "manifest for %s: %w", dir, err)
	}
	key = ManifestKey(dir)
	err = s.put(ctx, key, data, true)
	if gcerrors.Code(err) == gcerrors.FailedPrecondition {
		err = s.taken(ctx, key, data, m.Digest, claimed)
	}
	if err != nil {
		return "", err
	}
	return key, s.arrived(ctx, key)
}

// taken deals with a manifest that is there already.
func (s *Store) taken(ctx context.Context, key string, data []byte, digest string, claimed time.Time) error {
	if old, err := s.ReadManifest(ctx, key); err == nil && old.Digest == digest {
		return nil
	}
	at, err := s.bucket.Attributes(ctx, s.Object(key))
	if err != nil {
		return s.explain("read", key, err)
	}
	if !at.ModTime.Before(claimed) {
		return fault.New(fault.Corrupt, "%s is there already with other rows: two workers wrote under one fence, or two warehouses share this stage; run the function again, which takes a new fence, and give each warehouse a stage of its own", s.where(key))
	}
	if err := s.Delete(ctx, key); err != nil {
		return err
	}
	return s.put(ctx, key, data, true)
}

func (s *Store) arrived(ctx context.Context, key string) error {
	if s.o.Arrived == nil {
		return nil
	}
	if err := s.o.Arrived(ctx, key); err != nil {
		return fmt.Errorf("%s is written, but was not announced: %w", s.where(key), err)
	}
	return nil
}

// ReadManifest reads and verifies a manifest: fault.NotFound where there is none,
// fault.Corrupt where it has unknown or repeated members, is cut short, or does
// not match its digest, and fault.Invalid for a version of a newer Millrace.
func (s *Store) ReadManifest(ctx context.Context, key string) (*Manifest, error) {
	data, err := s.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err == nil && head.Version > version {
		return nil, fault.New(fault.Invalid, "manifest %s has version %d, this Millrace reads up to %d; deploy the newer one here too", s.where(key), head.Version, version)
	}
	m := new(Manifest)
	if err := json.Unmarshal(data, m, json.RejectUnknownMembers(true)); err != nil {
		return nil, fault.New(fault.Corrupt, "manifest %s: %w", s.where(key), err)
	}
	digest, err := m.digest()
	if err != nil || digest != m.Digest || m.Version != version {
		return nil, fault.New(fault.Corrupt, "manifest %s was changed: it says version %d and digest %.12s, its content has %.12s; read the slice again", s.where(key), m.Version, m.Digest, digest)
	}
	return m, nil
}

// Announce writes a manifest's bytes again, so that its arrival is delivered
// once more, and calls Options.Arrived. It does not verify the manifest: the
// loader does.
func (s *Store) Announce(ctx context.Context, key string) error {
	if !IsManifest(key) {
		return fault.New(fault.Invalid, "stage: %s is not a manifest's key, which ends in %s", key, manifestName)
	}
	data, err := s.Get(ctx, key)
	if err != nil {
		return err
	}
	if err := s.Put(ctx, key, data); err != nil {
		return err
	}
	return s.arrived(ctx, key)
}

// digest covers the rows and their shape: the table, the totals, and each part's
// digest. Keys are left out, because they hold the fence: two attempts that read
// the same bytes have the same digest.
func (m *Manifest) digest() (string, error) {
	type part struct {
		Rows, Bytes int64
		SHA256      string
	}
	parts := func(ps []Part) (out []part) {
		for _, p := range ps {
			out = append(out, part{p.Rows, p.Bytes, p.SHA256})
		}
		return out
	}
	sum := sha256.New()
	err := json.MarshalWrite(sum, []any{
		m.Version, m.Function, m.Slice, m.Table, parts(m.Parts), parts(m.Rejects),
		m.RowsSource, m.RowsStaged, m.RowsRejected, m.Bytes,
	}, json.Deterministic(true))
	if err != nil {
		return "", fault.New(fault.Invalid, "digest of a manifest of %s: %w", m.Table.FullName(), err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
