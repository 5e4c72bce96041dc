package stage

import (
	"context"
	"time"

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

	Pages    int64    `json:"pages,omitempty"`
	Requests int64    `json:"requests,omitempty"`
	Retries  int64    `json:"retries,omitempty"`
	Cursor   string   `json:"cursor,omitempty"`   // the vendor's, stored with the mark
	Expected *int64   `json:"expected,omitempty"` // the source's own count of rows
	Warnings []string `json:"warnings,omitempty"`
	Drift    Drift    `json:"drift,omitzero"`

	CreatedAt time.Time `json:"created_at"`
	Digest    string    `json:"digest"` // hex SHA-256 over the parts' digests, the totals and the table
}

func ManifestKey(dir string) string { return "" }
func IsManifest(key string) bool    { return false }

func (s *Store) WriteManifest(ctx context.Context, dir string, m *Manifest) (key string, err error) {
	return "", nil
}
func (s *Store) ReadManifest(ctx context.Context, key string) (*Manifest, error) { return nil, nil }
func (s *Store) Announce(ctx context.Context, key string) error                  { return nil }
