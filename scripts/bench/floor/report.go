package floor

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/millrace-data/millrace/functions/ociusage"
	"github.com/millrace-data/millrace/shared/record"
)

// Report inserts a cost report of Oracle's, a .csv.gz, into a database in dir: the
// columns that the connector declares with the connector's types, tags as text.
func Report(ctx context.Context, path, dir string) (int64, error) {
	header, err := header(path)
	if err != nil {
		return 0, err
	}
	types := map[string]string{}
	for _, c := range ociusage.Function.Tables[0].Columns {
		types[c.Field] = map[record.Type]string{record.Number: fmt.Sprintf("DECIMAL(%d,%d)", c.Precision, c.Scale),
			record.Timestamp: "TIMESTAMP", record.Boolean: "BOOLEAN"}[c.Type]
	}
	var cols []column
	for _, h := range header {
		typ := types[h]
		if typ == "" {
			typ = "VARCHAR"
		}
		cols = append(cols, column{h, typ})
	}
	return insert(ctx, dir, cols, fmt.Sprintf("SELECT * FROM read_csv(%s, header = true, timestampformat = '%%Y-%%m-%%dT%%H:%%MZ', columns = {%s})", quote(path),
		list(cols, func(c column) string { return quote(c.field) + ": " + quote(c.typ) })))
}

func header(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(z).ReadString('\n')
	return strings.Split(strings.TrimRight(line, "\r\n"), ","), err
}
