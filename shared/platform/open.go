package platform

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/load"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// settings is what the environment says about the cloud itself.
type settings struct {
	Warehouse env.Secret    `envconfig:"WAREHOUSE" required:"true" doc:"snowflake:USER@ACCOUNT/DATABASE?…"`
	Stage     string        `envconfig:"STAGE" required:"true" doc:"gs://BUCKET or s3://BUCKET"`
	Chain     string        `envconfig:"CHAIN" required:"true" doc:"pubsub:PROJECT or sns:arn:aws:sns:REGION:ACCOUNT"`
	Deadline  time.Duration `envconfig:"DEADLINE" doc:"budget of one invocation, a Go duration; the platform's own where that is shorter"`
	Lifetime  time.Duration `envconfig:"SECRET_LIFETIME" default:"5m" doc:"how long a secret is kept before it is read again, a Go duration"`
}

// mill is what one environment opened. It is closed when the environment changed and
// the last event that uses it is done.
type mill struct {
	environ  [sha256.Size]byte // digest of names and values: tells a rotated secret
	settings settings
	bucket   Bucket
	chain    Publisher

	warehouse *warehouse.Warehouse
	stage     *stage.Store
	extract   *extract.Engine
	load      *load.Engine

	users   int  // guarded by Function.mu
	retired bool // closed by its last user
}

// hold returns the mill of the present environment; release gives it back.
func (f *Function) hold(ctx context.Context) (m *mill, release func(), err error) {
	lookup, digest, err := f.environment(ctx)
	if err != nil {
		return nil, nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mill == nil || f.mill.environ != digest {
		// A driver may keep the context for what it opens later.
		fresh, err := f.open(context.WithoutCancel(ctx), lookup)
		if err != nil {
			return nil, nil, err
		}
		fresh.environ = digest
		old := f.mill
		f.mill = fresh
		f.retire(old)
	}
	m = f.mill
	m.users++
	return m, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if m.users--; m.retired && m.users == 0 {
			f.shut(m)
		}
	}, nil
}

// drop closes a mill now, or when its last user is done.
func (f *Function) drop(m *mill) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.retire(m)
}

func (f *Function) retire(m *mill) {
	if m == nil {
		return
	}
	if m.retired = true; m.users == 0 {
		f.shut(m)
	}
}

func (f *Function) shut(m *mill) {
	if err := m.close(); err != nil {
		f.o.Log.Warn("not all was closed", "function", f.o.Name, "error", err)
	}
}

// environment is the variables with their secrets, and a digest of all.
func (f *Function) environment(ctx context.Context) (env.Lookup, [sha256.Size]byte, error) {
	var digest [sha256.Size]byte
	plain := f.o.Environ()
	var life struct {
		Lifetime time.Duration `envconfig:"SECRET_LIFETIME" default:"5m"`
	}
	if err := env.Load(list(plain), "MILLRACE", &life); err != nil {
		return nil, digest, err
	}
	f.secrets.keep(life.Lifetime)
	lookup, err := env.Resolved(ctx, plain, f.secrets)
	if err != nil {
		return nil, digest, err
	}
	sum := sha256.New()
	for _, pair := range slices.Sorted(slices.Values(plain)) {
		name, _, _ := strings.Cut(pair, "=")
		value, _ := lookup(name)
		fmt.Fprintf(sum, "%q=%q\n", name, value)
	}
	return lookup, [sha256.Size]byte(sum.Sum(nil)), nil
}

// list looks up pairs of NAME=VALUE.
func list(environ []string) env.Lookup {
	m := make(map[string]string, len(environ))
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		m[name] = value
	}
	return env.Map(m)
}

// open opens what the environment names. What it opened is closed where it fails.
func (f *Function) open(ctx context.Context, lookup env.Lookup) (_ *mill, err error) {
	m := &mill{}
	if err := env.Load(lookup, "MILLRACE", &m.settings); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close())
		}
	}()
	place := func(url, rest string) Place { return Place{URL: url, Rest: rest, Function: f.o.Name, Lookup: lookup} }
	dsn := m.settings.Warehouse.Reveal()
	openWarehouse, rest, err := pick(f.o.Drivers.Warehouse, "MILLRACE_WAREHOUSE", dsn)
	if err != nil {
		return nil, err
	}
	openStage, stageRest, err := pick(f.o.Drivers.Stage, "MILLRACE_STAGE", m.settings.Stage)
	if err != nil {
		return nil, err
	}
	openChain, chainRest, err := pick(f.o.Drivers.Chain, "MILLRACE_CHAIN", m.settings.Chain)
	if err != nil {
		return nil, err
	}
	if m.bucket, err = openStage(ctx, place(m.settings.Stage, stageRest)); err != nil {
		return nil, err
	}
	if m.chain, err = openChain(ctx, place(m.settings.Chain, chainRest)); err != nil {
		return nil, err
	}
	if m.warehouse, err = openWarehouse(ctx, place(dsn, rest)); err != nil {
		return nil, err
	}
	return m, f.engines(m, lookup)
}

// engines puts the engines on what is open.
func (f *Function) engines(m *mill, lookup env.Lookup) error {
	scratch := f.o.Scratch
	if scratch == "" {
		scratch = filepath.Join(os.TempDir(), "millrace")
	}
	if err := os.MkdirAll(scratch, 0o700); err != nil {
		return fault.New(fault.Invalid, "create the scratch folder: %w; set TMPDIR to a folder that the function may write to", err)
	}
	m.stage = stage.New(m.bucket.Blob, stage.Options{Name: m.bucket.Name, Prefix: m.bucket.Prefix, Kind: m.bucket.Kind, Local: m.bucket.Local, Scratch: scratch})
	var out chain.Publisher = m.chain.Publisher
	m.extract = &extract.Engine{Warehouse: m.warehouse, Stage: m.stage, Chain: out, Log: f.o.Log, Env: lookup,
		Scratch: scratch, Owner: f.o.Name + "@" + f.o.Instance, Point: f.o.Point, Progress: f.o.Progress}
	m.load = &load.Engine{Warehouse: m.warehouse, Stage: m.stage, Chain: out, Log: f.o.Log, Now: f.o.Now, Point: f.o.Point}
	return nil
}

func (m *mill) close() error {
	var errs []error
	if m.warehouse != nil {
		errs = append(errs, m.warehouse.Close())
	}
	if m.chain.Close != nil {
		errs = append(errs, m.chain.Close())
	}
	if m.bucket.Blob != nil {
		errs = append(errs, m.bucket.Blob.Close())
	}
	return errors.Join(errs...)
}
