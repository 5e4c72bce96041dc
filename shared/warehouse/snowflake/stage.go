package snowflake

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/warehouse"
)

const (
	mostFiles = 1000     // that one COPY may name
	mostBytes = 64 << 20 // of a file for PUT: clouds want larger ones in pieces, which the client holds in memory
)

// partsStage is a stage of the session: what is in it goes with it.
const partsStage = `"millrace"."millrace_parts"`

// Stage makes the table anew and copies the parts into it, outside of any
// transaction. Only this session sees the table, and it dies with it: a killed
// process leaves nothing behind.
func (d Driver) Stage(ctx context.Context, conn *sql.Conn, name string, cols []record.Column, parts warehouse.Parts) error {
	defs := make([]string, len(cols))
	for i, c := range cols {
		defs[i] = quote(c.Name) + " " + d.Type(c)
	}
	if _, err := conn.ExecContext(ctx, fmt.Sprintf("CREATE OR REPLACE TEMPORARY TABLE %s (%s)", quote(name), strings.Join(defs, ", "))); err != nil {
		return err
	}
	if len(parts.Keys) > 0 {
		if d.stage == "" {
			return fault.New(fault.Invalid, "the parts lie in a bucket, but MILLRACE_WAREHOUSE names no external stage: add stage=…")
		}
		if err := d.copy(ctx, conn, name, cols, "@"+d.stage+"/", parts.Keys); err != nil {
			return err
		}
	}
	if len(parts.Files) == 0 {
		return nil
	}
	folder, names, err := put(ctx, conn, parts.Files)
	if err != nil {
		return err
	}
	err = d.copy(ctx, conn, name, cols, folder, names)
	if _, e := conn.ExecContext(ctx, "REMOVE "+folder); err == nil {
		err = e
	}
	return err
}

// put uploads local files under names that tell them apart.
func put(ctx context.Context, conn *sql.Conn, files []string) (folder string, names []string, err error) {
	if _, err := conn.ExecContext(ctx, "CREATE TEMPORARY STAGE IF NOT EXISTS "+partsStage); err != nil {
		return "", nil, err
	}
	folder = "@" + partsStage + "/" + strings.ToLower(rand.Text()[:8]) + "/"
	for i, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			return "", nil, fault.New(fault.Invalid, "part for PUT: %w", err)
		}
		if info.Size() > mostBytes {
			return "", nil, fault.New(fault.Invalid, "part %s has %d bytes, PUT takes %d at most: write smaller parts, or load from an external stage", filepath.Base(f), info.Size(), mostBytes)
		}
		dir := fmt.Sprintf("%06d/", i)
		if err := upload(ctx, conn, f, folder+dir); err != nil {
			return "", nil, err
		}
		names = append(names, dir+filepath.Base(f))
	}
	return folder, names, nil
}

func upload(ctx context.Context, conn *sql.Conn, file, to string) error {
	path, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	if strings.ContainsAny(path, "*?[") {
		return fault.New(fault.Invalid, "path %s of a part has a wildcard: set MILLRACE_HOME to a folder without one", path)
	}
	rows, err := conn.QueryContext(ctx, fmt.Sprintf("PUT %s %s AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = ZSTD OVERWRITE = TRUE", literal("file://"+filepath.ToSlash(path)), to))
	if err != nil {
		return err
	}
	defer rows.Close()
	sent := false
	if err := each(rows, func(row map[string]string) { sent = strings.EqualFold(row["status"], "UPLOADED") }); err != nil {
		return err
	}
	if !sent {
		return fmt.Errorf("part %s was not uploaded to the internal stage", filepath.Base(file))
	}
	return nil
}

// copy loads the named files, and no others that may lie beside them.
func (d Driver) copy(ctx context.Context, conn *sql.Conn, table string, cols []record.Column, folder string, files []string) error {
	into, exprs := make([]string, len(cols)), make([]string, len(cols))
	for i, c := range cols {
		into[i], exprs[i] = quote(c.Name), d.read(c)
	}
	for some := range slices.Chunk(files, mostFiles) {
		list := make([]string, len(some))
		for i, f := range some {
			list[i] = literal(f)
		}
		q := fmt.Sprintf("COPY INTO %s (%s) FROM (SELECT %s FROM %s) FILES = (%s) FILE_FORMAT = (TYPE = JSON COMPRESSION = ZSTD NULL_IF = ()) ON_ERROR = ABORT_STATEMENT FORCE = TRUE",
			quote(table), strings.Join(into, ", "), strings.Join(exprs, ", "), folder, strings.Join(list, ", "))
		if err := d.loaded(ctx, conn, q, len(some)); err != nil {
			return misfit(err)
		}
	}
	return nil
}

// plain is a name that a path into a document can hold as it is.
var plain = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

// read is a column of a line. Lines hold texts, which are cast: so a decimal keeps
// every digit.
func (d Driver) read(c record.Column) string {
	text := "$1:" + quote(c.Name) + "::VARCHAR"
	if !plain.MatchString(c.Name) {
		text = "$1[" + literal(c.Name) + "]::VARCHAR"
	}
	switch c.Type {
	case record.Text:
		return text
	case record.Document:
		return d.Document(text)
	}
	return text + "::" + d.Type(c)
}

// loaded runs a COPY and looks at what it says of each file: one that is not there
// is an error nowhere else.
func (d Driver) loaded(ctx context.Context, conn *sql.Conn, q string, want int) error {
	rows, err := conn.QueryContext(ctx, q)
	if err != nil {
		return err
	}
	defer rows.Close()
	n, bad := 0, ""
	err = each(rows, func(row map[string]string) {
		if strings.EqualFold(row["status"], "LOADED") {
			n++
		} else if row["file"] != "" {
			bad = row["status"]
		}
	})
	if err != nil {
		return err
	}
	if n != want {
		return fault.New(fault.Corrupt, "%d of %d parts were copied into the warehouse (%s): a part that the manifest names is not in the stage; read the slice again", n, want, cmp.Or(bad, "the others are not there"))
	}
	return nil
}

var where = regexp.MustCompile(`File '[^']*?([^'/]+)', line \d+`)

// misfit says where a line does not fit its columns, and leaves out the value,
// which Snowflake repeats.
func misfit(err error) error {
	e := failure(err)
	if e == nil || (Driver{}).Fault(err) != fault.Corrupt {
		return err
	}
	at := where.FindString(e.Error())
	if at == "" {
		at = "one of the parts"
	}
	return fault.New(fault.Corrupt, "a value does not fit its column in %s (Snowflake's error %06d, query %s)", at, e.Number, e.QueryID)
}
