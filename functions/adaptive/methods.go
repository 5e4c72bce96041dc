package adaptive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/part"
	"github.com/millrace-data/millrace/shared/record"
)

// method is an export that fills a table of its own.
type method struct {
	table   string
	name    string
	also    string // another name of it; which versions take which is unconfirmed
	include *include
	sheets  string // asked once for each sheet whose type contains this; "*" = each
	rare    bool   // nobody was seen to use it: a tenant may not have it
}

var methods = []method{
	{table: "accounts", name: "exportAccounts"},
	{table: "levels", name: "exportLevels"},
	{table: "dimensions", name: "exportDimensions", include: &include{DimensionValues: true}},
	{table: "attributes", name: "exportAttributes"},
	{table: "time", name: "exportTime"},
	{table: "users", name: "exportUsers"},
	{table: "groups", name: "exportGroups"},
	{table: "permission_sets", name: "exportPermissionSets", also: "exportPermissionSet", rare: true},
	{table: "active_currencies", name: "exportActiveCurrencies"},
	{table: "instances", name: "exportInstances", rare: true},
	{table: "sheets", name: "exportSheets", rare: true},
	{table: "sheet_definition", name: "exportSheetDefinition", sheets: "*", rare: true},
	{table: "modeled_sheet", name: "exportModeledSheet", sheets: "model", rare: true},
	{table: "configurable_model_data", name: "exportConfigurableModelData", sheets: "model", rare: true},
	{table: "roles", name: "exportRoles", rare: true},
	{table: "security_audit", name: "exportSecurityAudit", rare: true},
	{table: "transaction_definition", name: "exportTransactionDefinition", rare: true},
	{table: "customer_logo", name: "exportCustomerLogo", rare: true},
	{table: "dimension_families", name: "exportDimensionFamilies", rare: true},
	{table: "dimension_mapping", name: "exportDimensionMapping", rare: true},
	{table: "locales", name: "exportLocales", rare: true},
}

// thing is a row of such a table: an element of the answer, or a line of a CSV in it.
type thing struct {
	Position   int64       `field:"position" key:"true" doc:"Where it begins in the answer, from 1 on; new with each reading."`
	Element    string      `field:"element" doc:"Tag, or row of a CSV."`
	Path       string      `field:"path" doc:"Names from the top, with slashes between; for reading, not for parsing."`
	ID         *string     `field:"id"`
	Code       *string     `field:"code"`
	Name       *string     `field:"name"`
	ParentID   *string     `field:"parent_id" doc:"Id of the nearest element around it that has one."`
	Attributes record.JSON `field:"attributes" doc:"All attributes as texts, or the cells of the line by header."`
	Text       *string     `field:"text"`
}

func tables() []extract.Table {
	out := []extract.Table{versionsTable(), reportingTable()}
	for _, m := range methods {
		out = append(out, extract.Table{Slices: daily, Table: record.Table{Schema: "adaptive", Name: m.table,
			Doc:     "What " + m.name + " has, flattened.",
			Columns: record.Columns[thing](), Key: record.Key[thing](), Mode: record.ReplaceAll}})
	}
	return out
}

// readMethod stages what a method exports. One that the tenant does not have leaves
// the table as it is, with a warning.
func (i *instance) readMethod(ctx context.Context, m method, out *extract.Out) error {
	f := &flattener{out: out}
	err := i.method(ctx, m, m.name, f)
	if errors.Is(err, errRefused) && m.also != "" && f.rows == 0 {
		err = i.method(ctx, m, m.also, f)
	}
	if errors.Is(err, errRefused) && m.rare && f.rows == 0 {
		out.Leave("%s: %v", m.name, err)
		return nil
	}
	return err
}

func (i *instance) method(ctx context.Context, m method, name string, f *flattener) error {
	if m.sheets == "" {
		f.base = f.last
		return i.tree(ctx, call{Method: name, Include: m.include}, f.out, f.visit)
	}
	sheets, err := i.sheets(ctx, m.sheets)
	if err != nil {
		return err
	}
	for _, s := range sheets {
		f.base = f.last
		c := call{Method: name, Sheet: &s}
		if m.sheets != "*" {
			c.Sheet, c.Version, c.Modeled = nil, &versionRef{Default: true}, &modeledRef{Name: s.Name, Columns: true, Rows: true}
		}
		if err := i.tree(ctx, c, f.out, f.visit); err != nil {
			return fmt.Errorf("sheet %s: %w", s.ID, err)
		}
	}
	return nil
}

// sheets lists the sheets that have a type which contains kind.
func (i *instance) sheets(ctx context.Context, kind string) (out []sheetRef, err error) {
	body, err := i.send(ctx, call{Method: "exportSheets"})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	_, err = walk(body, func(e *element) error {
		is := strings.ToLower(e.tag + " " + e.attr("type"))
		if e.attr("name") != "" && strings.Contains(is, "sheet") && (kind == "*" || strings.Contains(is, kind)) {
			out = append(out, sheetRef{e.attr("id"), e.attr("name")})
		}
		return nil
	})
	return out, err
}

// flattener makes rows of elements, over several answers.
type flattener struct {
	out        *extract.Out
	base, last int64 // positions of the answers before, and so far
	rows       int64
}

func (f *flattener) visit(e *element) error {
	text := strings.TrimSpace(e.text.String())
	if (e.tag == "output" || e.tag == "data") && strings.Contains(text, ",") {
		return f.lines(e, text)
	}
	attrs := map[string]string{}
	for _, a := range e.attrs {
		attrs[a.Name.Local] = a.Value
	}
	f.last = max(f.last, f.base+e.position)
	return f.row(e, e.tag, f.base+e.position, attrs, text)
}

func (f *flattener) row(e *element, tag string, position int64, attrs map[string]string, text string) error {
	row := map[string]any{"position": position, "element": tag, "path": path(e), "attributes": attrs}
	for _, name := range []string{"id", "code", "name"} {
		if v := e.attr(name); v != "" {
			row[name] = v
		}
	}
	if id := above(e); id != "" {
		row["parent_id"] = id
	}
	if text != "" {
		row["text"] = text
	}
	f.rows++
	return stage(f.out, row)
}

// lines makes rows of a CSV.
func (f *flattener) lines(e *element, text string) error {
	c := part.NewCSV(strings.NewReader(text))
	var header []string
	for {
		cells, err := c.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if header == nil {
			header = texts(cells)
			continue
		}
		attrs := map[string]string{}
		for i, cell := range texts(cells) {
			if i < len(header) {
				attrs[header[i]] = cell
			} else {
				attrs[fmt.Sprintf("#%d", i+1)] = cell
			}
		}
		f.base++ // before the elements that follow
		f.last = max(f.last, f.base+e.position)
		if err := f.row(e, "row", f.base+e.position, attrs, ""); err != nil {
			return err
		}
	}
}

func texts(cells [][]byte) (out []string) {
	for _, c := range cells {
		out = append(out, string(c))
	}
	return out
}
