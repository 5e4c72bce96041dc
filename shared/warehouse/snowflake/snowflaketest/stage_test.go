package snowflaketest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/snowflakedb/gosnowflake/v2"

	"github.com/millrace-data/millrace/shared/warehouse/snowflake/snowflaketest"
)

const lines = `{"id":"1","name":"it's \"one\"","n":"1234567890123456789012.50","doc":"{\"b\":1,\"a\":2}"}
{"id":"2","n":null}
`

// file writes a file, compressed as its name says.
func file(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	data := []byte(content)
	switch filepath.Ext(name) {
	case ".zst":
		z, _ := zstd.NewWriter(nil)
		data = z.EncodeAll(data, nil)
	case ".gz":
		var b strings.Builder
		z := gzip.NewWriter(&b)
		z.Write(data)
		z.Close()
		data = []byte(b.String())
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const copyInto = `COPY INTO "t" ("id", "name", "n", "doc") FROM (SELECT $1['id']::VARCHAR, $1:name::VARCHAR, $1['n']::VARCHAR::NUMBER(38,9), PARSE_JSON($1['doc']::VARCHAR) FROM %s) FILES = (%s) FILE_FORMAT = (TYPE = JSON COMPRESSION = %s NULL_IF = ()) ON_ERROR = ABORT_STATEMENT FORCE = %s`

func (c *client) table(on execer) {
	c.Helper()
	c.exec(on, `CREATE OR REPLACE TEMPORARY TABLE "t" ("id" VARCHAR, "name" VARCHAR, "n" NUMBER(38,9), "doc" VARIANT)`)
}

func TestPutAndCopy(t *testing.T) {
	c := start(t, snowflaketest.Options{})
	conn, dir := c.conn(), t.TempDir()
	c.exec(conn, `CREATE SCHEMA IF NOT EXISTS "mill"`)
	c.exec(conn, `USE SCHEMA "mill"`)
	c.exec(conn, `CREATE TEMPORARY STAGE IF NOT EXISTS "mill"."parts"`)
	for name, packed := range map[string]string{"p.ndjson.zst": "ZSTD", "p.ndjson.gz": "GZIP"} {
		path := file(t, dir, name, lines)
		c.table(conn)
		got := c.rows(conn, fmt.Sprintf(`PUT 'file://%s' @"mill"."parts"/run1/ AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = %s OVERWRITE = TRUE`, path, packed))
		if len(got) != 2 || !strings.Contains(got[1], "|UPLOADED|") {
			t.Fatalf("PUT says %q", got)
		}
		got = c.rows(conn, fmt.Sprintf(copyInto, `@"mill"."parts"/run1/`, "'"+name+"'", packed, "FALSE"))
		c.want(got, "file|status|rows_parsed|rows_loaded|error_limit|errors_seen|first_error|first_error_line|first_error_character|first_error_column_name",
			"parts/run1/"+name+"|LOADED|2|2|1|0|<nil>|<nil>|<nil>|<nil>")
		c.want(c.rows(conn, `SELECT "id", "name", "n", TO_JSON("doc") AS "j" FROM "t" ORDER BY 1`), "id|name|n|j", `1|it's "one"|1234567890123456789012.500000000|{"a":2,"b":1}`, "2|<nil>|<nil>|<nil>")
		got = c.rows(conn, fmt.Sprintf(copyInto, `@"mill"."parts"/run1/`, "'"+name+"'", packed, "FALSE"))
		if !strings.Contains(got[1], "LOAD_SKIPPED") {
			t.Errorf("a file loaded before: %q", got)
		}
		c.want(c.rows(conn, strings.Replace(fmt.Sprintf(copyInto, `@"mill"."parts"/run1/`, "", packed, "FALSE"), "FILES = ()", "PATTERN = '.*"+filepath.Ext(name)+"'", 1)), "status", "Copy executed with 0 files processed.")
		c.rows(conn, fmt.Sprintf(copyInto, `@"mill"."parts"/run1/`, "'"+name+"'", packed, "TRUE"))
		c.want(c.rows(conn, `SELECT COUNT(*) FROM "t"`), "COUNT(*)", "4")
	}
	if n := len(c.rows(conn, `LIST @"mill"."parts"/run1/`)); n != 3 {
		t.Errorf("LIST has %d lines, want a heading and two files", n)
	}
	c.exec(conn, `REMOVE @"mill"."parts"/run1/`)
	_, err := conn.ExecContext(c.ctx, fmt.Sprintf(copyInto, `@"mill"."parts"/run1/`, "'p.ndjson.zst'", "ZSTD", "TRUE"))
	c.is(err, 91016, "22000")
}

func TestPutCompressesAndStreams(t *testing.T) {
	c := start(t, snowflaketest.Options{})
	conn, dir := c.conn(), t.TempDir()
	c.exec(conn, `CREATE STAGE S`)
	c.rows(conn, `PUT file://`+file(t, dir, "plain.ndjson", lines)+` @S/a`)
	ctx := gosnowflake.WithFilePutStream(c.ctx, strings.NewReader(lines))
	if _, err := conn.ExecContext(ctx, `PUT file:///nowhere/stream.ndjson @S/a AUTO_COMPRESS=FALSE`); err != nil {
		t.Fatal(err)
	}
	c.table(conn)
	c.rows(conn, fmt.Sprintf(copyInto, `@S/a/`, "'plain.ndjson.gz', 'stream.ndjson'", "AUTO", "FALSE"))
	c.want(c.rows(conn, `SELECT COUNT(*) FROM "t"`), "COUNT(*)", "4")
}

func TestExternalStages(t *testing.T) {
	dir := t.TempDir()
	file(t, dir, "in/a.ndjson.zst", lines)
	web := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer web.Close()
	c := start(t, snowflaketest.Options{External: map[string]string{"gcs://bucket/": dir, "s3://bucket/": web.URL}})
	for _, scheme := range []string{"gcs", "s3"} {
		conn := c.conn()
		c.exec(conn, `CREATE OR REPLACE STAGE "ext" URL = '`+scheme+`://bucket/in/' STORAGE_INTEGRATION = I FILE_FORMAT = (TYPE = JSON)`)
		c.table(conn)
		got := c.rows(conn, fmt.Sprintf(copyInto, `@RAW.PUBLIC."ext"/`, "'a.ndjson.zst'", "ZSTD", "FALSE"))
		if !strings.HasPrefix(got[1], scheme+"://bucket/in/a.ndjson.zst|LOADED|2|2") {
			t.Errorf("COPY says %q", got)
		}
		c.fails(conn, 91016, "22000", fmt.Sprintf(copyInto, `@"ext"/`, "'b.ndjson.zst'", "ZSTD", "FALSE"))
	}
}

func TestCopyTellsTheLineThatDoesNotFit(t *testing.T) {
	c := start(t, snowflaketest.Options{})
	conn, dir := c.conn(), t.TempDir()
	c.exec(conn, `CREATE STAGE S`)
	good := strings.Repeat(`{"id":"0","n":"1"}`+"\n", 40)
	c.table(conn)
	tx, err := conn.BeginTx(c.ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.exec(tx, `INSERT INTO "t" ("id") VALUES ('before')`)
	for i, bad := range []struct {
		line   string
		number int
		state  string
	}{
		{`{"id":"1","n":"oneSECRET"}`, 100038, "22018"}, {`{"id":"1","doc":"{\"a\":SECRET"}`, 100069, "22P02"}, {`{"id":`, 100069, "22P02"},
	} {
		name := fmt.Sprintf("bad%d.zst", i)
		c.rows(tx, `PUT file://`+file(t, dir, name, good+bad.line+"\n")+` @S SOURCE_COMPRESSION = ZSTD AUTO_COMPRESS = FALSE`)
		_, err := tx.ExecContext(c.ctx, fmt.Sprintf(copyInto, `@S`, "'"+name+"'", "ZSTD", "FALSE"))
		c.is(err, bad.number, bad.state)
		if err == nil || !strings.Contains(err.Error(), "File '"+name+"', line 4") { // 42 where the line has no end
			t.Errorf("the error does not tell the line: %v", err)
		}
	}
	c.rows(tx, `PUT file://`+file(t, dir, "good.zst", good)+` @S SOURCE_COMPRESSION = ZSTD AUTO_COMPRESS = FALSE`)
	got := c.rows(tx, strings.Replace(fmt.Sprintf(copyInto, `@S`, "'bad0.zst', 'good.zst'", "ZSTD", "FALSE"), "ABORT_STATEMENT", "SKIP_FILE", 1))
	if len(got) != 3 || !strings.Contains(got[1], "LOAD_FAILED") || !strings.Contains(got[2], "LOADED|40|40") {
		t.Errorf("COPY that skips files says %q", got)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	got = c.rows(conn, fmt.Sprintf(copyInto, `@S`, "'good.zst'", "ZSTD", "FALSE"))
	if !strings.Contains(got[1], "LOADED|40|40") {
		t.Errorf("a COPY that was rolled back left a history: %q", got)
	}
	c.want(c.rows(conn, `SELECT COUNT(*) FROM "t"`), "COUNT(*)", "40")
}

func TestManyBindsGoThroughAStage(t *testing.T) {
	c := start(t, snowflaketest.Options{})
	conn := c.conn()
	c.exec(conn, `CREATE TABLE T (ID INT, NAME VARCHAR)`)
	for _, n := range []int{3, 40_000} {
		ids, texts := make([]int, n), make([]string, n)
		for i := range ids {
			ids[i], texts[i] = i, fmt.Sprintf("name, \"%d\"", i)
		}
		a, err := gosnowflake.Array(&ids)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := gosnowflake.Array(&texts)
		c.exec(conn, `DELETE FROM T`)
		c.affected(c.exec(conn, `INSERT INTO T (ID, NAME) VALUES (?, ?)`, a, b), int64(n))
		c.want(c.rows(conn, `SELECT COUNT(*), MAX(ID) AS M FROM T WHERE NAME LIKE 'name, "%"'`), "COUNT(*)|M", fmt.Sprintf("%d|%d", n, n-1))
	}
}

func TestCopyByNameAndWhole(t *testing.T) {
	c := start(t, snowflaketest.Options{})
	conn, dir := c.conn(), t.TempDir()
	c.exec(conn, `CREATE STAGE S FILE_FORMAT = (TYPE = JSON)`)
	c.rows(conn, `PUT file://`+file(t, dir, "x.json", `{"Id":"7","v":{"b":1}}`)+` @S`)
	c.exec(conn, `CREATE TABLE T (ID INT, "v" VARIANT, OTHER VARCHAR)`)
	c.rows(conn, `COPY INTO T FROM @S MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE`)
	c.exec(conn, `CREATE TABLE W (DOC VARIANT)`)
	c.rows(conn, `COPY INTO W FROM @S`)
	c.want(c.rows(conn, `SELECT ID, "v":b::VARCHAR AS B, OTHER FROM T UNION ALL SELECT 8, DOC:Id::VARCHAR, NULL FROM W UNION ALL SELECT 9, DOC['Id']::VARCHAR, NULL FROM W ORDER BY 1`), "ID|B|OTHER", "7|1|<nil>", "8|7|<nil>", "9|7|<nil>")
	c.fails(conn, 1006, "42000", `COPY INTO W FROM @S FORCED = TRUE`)
	c.fails(conn, 2018, "22000", `COPY INTO T FROM @S FORCE = TRUE`)
	c.fails(conn, 2003, "02000", `COPY INTO T FROM @NONE`)
}
