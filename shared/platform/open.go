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

	"gocloud.dev/blob"

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

	connector  *extract.Function // nil = load
	bucket     *blob.Bucket
	generation func(ctx context.Context, object string) (string, error) // nil where the bucket counts none
	chain      Chain

	warehouse *warehouse.Warehouse
	stage     *stage.Store
	extract   *extract.Engine
	load      *load.Engine

	users   int  // guarded by Node.mu
	retired bool // closed by its last user
}

// hold returns the mill of the present environment; release gives it back.
func (n *Node) hold(ctx context.Context) (m *mill, release func(), err error) {
	lookup, digest, err := n.environment(ctx)
	if err != nil {
		return nil, nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mill == nil || n.mill.environ != digest {
		// A driver may keep the context for what it opens later.
		fresh, err := n.open(context.WithoutCancel(ctx), lookup)
		if err != nil {
			return nil, nil, err
		}
		fresh.environ = digest
		old := n.mill
		n.mill = fresh
		n.retire(old)
	}
	m = n.mill
	m.users++
	return m, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if m.users--; m.retired && m.users == 0 {
			n.shut(m)
		}
	}, nil
}

// retire closes a mill now, or has its last user do it.
func (n *Node) retire(m *mill) {
	if m == nil {
		return
	}
	if m.retired = true; m.users == 0 {
		n.shut(m)
	}
}

func (n *Node) shut(m *mill) {
	if err := m.close(); err != nil {
		n.o.Log.Warn("not all was closed", "function", n.o.Function, "error", err)
	}
}

// environment is the variables with their secrets, and a digest of all.
func (n *Node) environment(ctx context.Context) (env.Lookup, [sha256.Size]byte, error) {
	var digest [sha256.Size]byte
	plain := n.o.Environ
	var life struct {
		Lifetime time.Duration `envconfig:"SECRET_LIFETIME" default:"5m"`
	}
	if err := env.Load(list(plain), "MILLRACE", &life); err != nil {
		return nil, digest, err
	}
	n.secrets.Keep(life.Lifetime)
	lookup, err := env.Resolved(ctx, plain, n.secrets)
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
func (n *Node) open(ctx context.Context, lookup env.Lookup) (_ *mill, err error) {
	m := &mill{}
	if m.connector, err = n.connector(); err != nil {
		return nil, err
	}
	if err := env.Load(lookup, "MILLRACE", &m.settings); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close())
		}
	}()
	place, err := ParseStage(m.settings.Stage)
	if err != nil {
		return nil, err
	}
	var so stage.Options
	if m.bucket, so, err = place.Open(ctx); err != nil {
		return nil, err
	}
	m.generation = generation(m.bucket, place.Scheme)
	if m.chain, err = n.openChain(ctx, m.settings.Chain, lookup); err != nil {
		return nil, err
	}
	if m.warehouse, err = n.openWarehouse(ctx, m.settings.Warehouse.Reveal(), lookup); err != nil {
		return nil, err
	}
	return m, n.engines(m, so, lookup)
}

// engines puts the engines on what is open.
func (n *Node) engines(m *mill, so stage.Options, lookup env.Lookup) error {
	scratch := n.o.Scratch
	if scratch == "" {
		scratch = filepath.Join(os.TempDir(), "millrace")
	}
	if err := os.MkdirAll(scratch, 0o700); err != nil {
		return fault.New(fault.Invalid, "create the scratch folder: %w; set TMPDIR to a folder that the function may write to", err)
	}
	so.Scratch = scratch
	m.stage = stage.New(m.bucket, so)
	m.extract = &extract.Engine{Warehouse: m.warehouse, Stage: m.stage, Chain: m.chain, Log: n.o.Log, Env: lookup, Scratch: scratch,
		Owner: fmt.Sprintf("%s/%d", n.o.Instance, os.Getpid()), Point: n.o.Point, Lease: n.o.Lease}
	m.load = &load.Engine{Warehouse: m.warehouse, Stage: m.stage, Chain: m.chain, Log: n.o.Log, Now: n.o.Now, Point: n.o.Point}
	return nil
}

func (m *mill) close() error {
	var errs []error
	if m.warehouse != nil {
		errs = append(errs, m.warehouse.Close())
	}
	if m.chain != nil {
		errs = append(errs, m.chain.Close())
	}
	if m.bucket != nil {
		errs = append(errs, m.bucket.Close())
	}
	return errors.Join(errs...)
}
