package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/gate"
	"github.com/millrace-data/millrace/shared/record"
)

type sale struct {
	ID     string          `field:"id" key:"true"`
	Amount *record.Decimal `field:"amount" decimal:"38,18"`
	Detail *record.JSON    `field:"detail"`
	Paid   *bool           `field:"paid"`
}

const shopRow = `{"id":"%s-1","amount":"12345678901234567890.123456789012345678","detail":{"n":1.000000000000000000001},"paid":true}`

var errNoWay = errors.New("the shop is on fire")

// shop is a vendor in memory: a row a day in each table. mood says how its tables
// end: fail, pause, refuse, reject.
func shop(mood string) *extract.Function {
	moods := strings.Split(mood+",", ",")
	table := func(name string, rules ...gate.Rule) extract.Table {
		return extract.Table{Slices: extract.Windows(24*time.Hour, 0, 0, time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)), Rules: rules,
			Table: record.Table{Schema: "shop", Name: name, Columns: record.Columns[sale](), Key: record.Key[sale](), Mode: record.Merge}}
	}
	f := &extract.Function{Name: "shop", Workers: 2, Tables: []extract.Table{table("sales"), table("refunds")}}
	for i, m := range moods {
		if m == "refuse" {
			f.Tables[i].Rules = append(f.Tables[i].Rules, gate.AtLeast(100))
		}
	}
	f.Open = func(cfg env.Lookup, in extract.Invocation) (extract.Source, error) {
		var c struct {
			URL string     `envconfig:"BASE_URL" required:"true" doc:"where the shop is"`
			Key env.Secret `envconfig:"API_KEY" required:"true" doc:"its key"`
		}
		return source(func(ctx context.Context, s extract.Slice, out *extract.Out) error {
			mood := moods[0]
			if s.Table == "refunds" {
				mood = moods[1]
			}
			switch mood {
			case "fail":
				return fault.New(fault.Auth, "%w", errNoWay)
			case "hang":
				<-ctx.Done()
				return ctx.Err()
			case "pause":
				return fault.LimitedUntil(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), "too many customers")
			case "reject":
				if err := out.Row([]byte(`{"id":"x","amount":"many"}`)); err != nil {
					return err
				}
			}
			return errors.Join(out.Row(fmt.Appendf(nil, shopRow, s.ID)), out.Page("end"))
		}), env.Load(cfg, "SHOP", &c)
	}
	return f
}

type source func(context.Context, extract.Slice, *extract.Out) error

func (f source) Read(ctx context.Context, s extract.Slice, out *extract.Out) error {
	return f(ctx, s, out)
}

// desk is an app with a home of its own.
type desk struct {
	home string
	vars map[string]string
	fs   []*extract.Function
	ff   []*follow.Function
	in   string
}

func newDesk(t *testing.T, mood string) *desk {
	home := t.TempDir()
	return &desk{home: home, fs: []*extract.Function{shop(mood)},
		vars: map[string]string{"MILLRACE_HOME": home, "SHOP_BASE_URL": "http://127.0.0.1:1", "SHOP_API_KEY": "hush"}}
}

// do runs a command line.
func (d *desk) do(t *testing.T, args ...string) (out, errs string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	a := &app{in: strings.NewReader(d.in), out: &o, err: &e, env: env.Map(d.vars), functions: d.fs, followers: d.ff}
	code = a.main(t.Context(), args)
	return o.String(), e.String(), code
}
