package adaptive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/part"
	"github.com/millrace-data/millrace/shared/record"
	"github.com/millrace-data/millrace/shared/rest"
)

// number is a row of reporting: one value of one period.
type number struct {
	VersionID   string          `field:"version_id" doc:"Stays the same when the version is renamed."`
	VersionName string          `field:"version_name"`
	AccountCode string          `field:"account_code"`
	AccountName *string         `field:"account_name"`
	LevelCode   *string         `field:"level_code"`
	LevelName   *string         `field:"level_name"`
	Dimensions  record.JSON     `field:"dimensions" doc:"Of each dimension asked for its name and code: {\"Vendor\":{\"name\":…,\"code\":…}}."`
	Period      string          `field:"period" doc:"Code of the period, such as 02/2026."`
	PeriodStart time.Time       `field:"period_start" date:"true" doc:"First day of the period in the instance's own calendar."`
	Value       *record.Decimal `field:"value" decimal:"38,18" mnpi:"true" doc:"Null where the plan is blank."`
}

func reportingTable() extract.Table {
	return extract.Table{Slices: extract.Objects(), Table: record.Table{Schema: "adaptive", Name: "reporting",
		Doc:     "The numbers of each version, by account, level, dimensions and period.",
		Columns: record.Columns[number](), Mode: record.Append}, // a slice is a version: its rows are replaced together
		Rules: []gate.Rule{gate.Once("account_code", "level_code", "level_name", "dimensions", "period").At(gate.Refuse)}}
}

// Objects implements [extract.Lister]: the versions that are to be read. What was
// loaded of a locked one, under the name and configuration it has now, is final.
func (i *instance) Objects(ctx context.Context, w extract.Wish) iter.Seq2[extract.Object, error] {
	return func(yield func(extract.Object, error) bool) {
		plans, err := i.plans(ctx)
		if err != nil {
			yield(extract.Object{}, fmt.Errorf("versions of folder %s: %w", i.cfg.Folder, err))
			return
		}
		loaded := map[string]string{}
		for _, k := range w.Known {
			if k.Loaded {
				loaded[k.Name] = k.Digest
			}
		}
		for _, p := range plans {
			final := p.locked && strings.HasPrefix(loaded[p.id], i.sign(p)+":")
			if !yield(extract.Object{Name: p.id, Again: !final}, nil) {
				return
			}
		}
	}
}

// sign is a digest of all that decides what a version's rows are, but its numbers.
func (i *instance) sign(p plan) string {
	h := sha256.New()
	fmt.Fprintf(h, "1 %q %q %v %q %q %q %q", p.id, p.name, p.locked, i.cfg.Accounts, i.cfg.Levels, i.cfg.Dimensions, i.cfg.Currency)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// readReporting stages the numbers of one version.
func (i *instance) readReporting(ctx context.Context, id string, out *extract.Out) error {
	plans, err := i.plans(ctx)
	if err != nil {
		return err
	}
	var p plan
	for _, one := range plans {
		if one.id == id {
			p = one
		}
	}
	if p.id == "" {
		return fault.New(fault.NotFound, "version %s has left folder %s: its rows stay; run the function again", id, i.cfg.Folder)
	}
	calendar, err := i.calendar(ctx)
	if err != nil {
		return err
	}
	c := i.dataCall(p, calendar)
	body, err := i.send(ctx, c)
	if err != nil {
		return fmt.Errorf("version %s: %w", id, err)
	}
	defer body.Close()
	err = i.numbers(body, p, calendar, out)
	return i.damaged(ctx, c, out, body, err)
}

// damaged keeps an answer that broke the contract.
func (i *instance) damaged(ctx context.Context, c call, out *extract.Out, body *rest.Body, err error) error {
	if errors.Is(err, fault.Corrupt) {
		return out.Corrupt(ctx, body, fmt.Errorf("%s: %w", c.Method, err))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.Method, err)
	}
	return nil
}

// dataCall asks for a version's numbers. The period is always named, because what
// the vendor takes without one depends on the version.
func (i *instance) dataCall(p plan, cal *calendar) call {
	c := call{Method: "exportData", Stream: true, Version: &versionRef{Name: p.name},
		Format:  &format{InternalCodes: true, Codes: true, Names: true},
		Filters: &filters{Span: cal.span(p.start, p.end)},
		Rules:   &rules{ZeroRows: true, RollupAccounts: true, MarkBlanks: true, RollupLevels: len(i.cfg.Levels) > 0}}
	for _, code := range i.cfg.Accounts {
		c.Filters.Accounts = append(c.Filters.Accounts, accountRef{Code: code})
	}
	for _, name := range i.cfg.Levels {
		c.Filters.Levels = append(c.Filters.Levels, levelRef{Name: name, Rollup: true})
	}
	if len(i.cfg.Dimensions) > 0 {
		c.Dimensions = &dimensions{}
		for _, name := range i.cfg.Dimensions {
			c.Dimensions.Names = append(c.Dimensions.Names, dimensionRef{name})
		}
	}
	c.Rules.Currency = currency{Corporate: i.cfg.Currency == "", Override: i.cfg.Currency}
	return c
}

// numbers reads the answer twice: once for its digest and what it says of itself, so
// that a version that did not change costs no load, and once for its rows.
func (i *instance) numbers(body *rest.Body, p plan, cal *calendar, out *extract.Out) error {
	d, err := openDocument(body)
	if err != nil {
		return err
	}
	h := sha256.New()
	if _, err := io.Copy(h, d); err != nil {
		return err
	}
	e, err := d.envelope()
	if err != nil {
		return err
	}
	if out.Unchanged(i.sign(p) + ":" + hex.EncodeToString(h.Sum(nil))) {
		return nil
	}
	if said, _ := e.said(); said != "" {
		out.Warn("Adaptive says: %s", said)
	}
	if d, err = openDocument(body.Keep()); err != nil {
		return err
	}
	cells := int64(0)
	records, err := out.CSVWide(d, func(header []string) (extract.Sheet, error) {
		s, err := cal.layout(header, p)
		cells = int64(len(s.Cells))
		return s, err
	})
	if err != nil {
		return err
	}
	counted, err := e.complete(records)
	if !counted {
		out.Warn("Adaptive did not say how many records it sent: %d came", records)
	}
	out.Expect(records * cells)
	return err
}

// blank is what marks a cell without a value where markBlanks is asked for.
const blank = "B"

// layout reads a header by its names: what ends in " Name" or " Code" says what a
// record is about, everything else is a period.
func (cal *calendar) layout(header []string, p plan) (extract.Sheet, error) {
	s := extract.Sheet{Value: "value", Null: blank}
	shared := []part.Field{{Column: "version_id", Value: p.id}, {Column: "version_name", Value: p.name}, {Column: "dimensions", Value: "{}"}}
	at := map[int]int{} // place in a record → place in shared
	keys := map[int][2]string{}
	for i, name := range header {
		of, kind := cut(name)
		column := map[string]string{"Account": "account", "Level": "level"}[of]
		switch {
		case kind == "":
			start, ok := cal.starts[name]
			if !ok {
				return s, fault.New(fault.Corrupt, "column %q is neither a key nor a period that exportTime knows", name)
			}
			s.Cells = append(s.Cells, i)
			s.Fields = append(s.Fields, []part.Field{{Column: "period", Value: name}, {Column: "period_start", Value: start.Format(time.DateOnly)}})
		case column != "":
			at[i] = len(shared)
			shared = append(shared, part.Field{Column: column + "_" + kind})
		default:
			keys[i] = [2]string{of, kind}
		}
	}
	s.Record = func(cells [][]byte) (_ []part.Field, err error) {
		for i, to := range at {
			shared[to].Value = string(cells[i])
		}
		if len(keys) > 0 {
			shared[2].Value, err = dimensionsOf(keys, cells)
		}
		return shared, err
	}
	return s, nil
}

// cut takes a key's header apart: "Level Code" is the code of Level.
func cut(name string) (of, kind string) {
	for _, kind := range []string{"name", "code"} {
		if of, ok := strings.CutSuffix(name, " "+strings.ToUpper(kind[:1])+kind[1:]); ok {
			return of, kind
		}
	}
	return name, ""
}

func dimensionsOf(keys map[int][2]string, cells [][]byte) (string, error) {
	out := map[string]map[string]string{}
	for i, k := range keys {
		if out[k[0]] == nil {
			out[k[0]] = map[string]string{}
		}
		out[k[0]][k[1]] = string(cells[i])
	}
	raw, err := json.Marshal(out, json.Deterministic(true))
	if err != nil {
		return "", fault.New(fault.Corrupt, "the name of a dimension's value is no Unicode")
	}
	return string(raw), nil
}
