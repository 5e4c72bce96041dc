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

	"github.com/millrace-data/millrace/functions"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/load"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// settings is what the environment says about the cloud itself.
type settings struct {
	Warehouse env.Secret    `envconfig:"WAREHOUSE" required:"true" doc:"snowflake:USER@ACCOUNT/DATABASE?…"`
	Chain     string        `envconfig:"CHAIN" required:"true" doc:"pubsub:PROJECT or sns:arn:aws:sns:REGION:ACCOUNT"`
	Deadline  time.Duration `envconfig:"DEADLINE" doc:"budget of one invocation, a Go duration; the platform's own where that is shorter"`
	Lifetime  time.Duration `envconfig:"SECRET_LIFETIME" default:"5m" doc:"how long a secret is kept before it is read again, a Go duration"`
}

// staged is what the functions read beside it that fill the stage, or are started by it.
type staged struct {
	Stage string `envconfig:"STAGE" required:"true" doc:"gs://BUCKET or s3://BUCKET"`
}

// mill is what one environment opened. It is closed when the environment changed and
// the last event that uses it is done.
type mill struct {
	environ  [sha256.Size]byte // digest of names and values: tells a rotated secret
	settings settings

	connector  *extract.Function                                        // nil = load, or a follower
	follower   *Starter                                                 // nil = load, or a connector
	bucket     *blob.Bucket                                             // nil for a follower, which needs no stage
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
	connector, follower, err := n.role()
	if err != nil {
		return nil, err
	}
	m := &mill{connector: connector}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close())
		}
	}()
	var so stage.Options
	if follower != nil {
		err = env.Load(lookup, "MILLRACE", &m.settings)
	} else {
		so, err = m.openStage(ctx, lookup)
	}
	if err != nil {
		return nil, err
	}
	if m.chain, err = n.openChain(ctx, m.settings.Chain, lookup); err != nil {
		return nil, err
	}
	if m.warehouse, err = n.openWarehouse(ctx, m.settings.Warehouse.Reveal(), lookup); err != nil {
		return nil, err
	}
	scratch, err := n.scratch()
	if err != nil {
		return nil, err
	}
	if follower != nil {
		return m, n.starter(m, follower, scratch, lookup)
	}
	so.Scratch = scratch
	n.engines(m, so, lookup)
	return m, nil
}

// openStage reads the settings with those of the stage, and opens it.
func (m *mill) openStage(ctx context.Context, lookup env.Lookup) (so stage.Options, err error) {
	var s staged
	if err := errors.Join(env.Load(lookup, "MILLRACE", &m.settings), env.Load(lookup, "MILLRACE", &s)); err != nil {
		return so, err
	}
	place, err := ParseStage(s.Stage)
	if err != nil {
		return so, err
	}
	if m.bucket, so, err = place.Open(ctx); err == nil {
		m.generation = generation(m.bucket, place.Scheme)
	}
	return so, err
}

// scratch makes the folder for files that live as long as an invocation.
func (n *Node) scratch() (string, error) {
	dir := n.o.Scratch
	if dir == "" {
		dir = filepath.Join(os.TempDir(), "millrace")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fault.New(fault.Invalid, "create the scratch folder: %w; set TMPDIR to a folder that the function may write to", err)
	}
	return dir, nil
}

// owner names this worker in leases.
func (n *Node) owner() string { return fmt.Sprintf("%s/%d", n.o.Instance, os.Getpid()) }

// engines puts the engines on what is open.
func (n *Node) engines(m *mill, so stage.Options, lookup env.Lookup) {
	m.stage = stage.New(m.bucket, so)
	m.extract = &extract.Engine{Warehouse: m.warehouse, Stage: m.stage, Chain: m.chain, Log: n.o.Log, Env: lookup, Scratch: so.Scratch,
		Owner: n.owner(), Point: n.o.Point, Lease: n.o.Lease}
	m.load = &load.Engine{Warehouse: m.warehouse, Stage: m.stage, Chain: m.chain, Log: n.o.Log, Now: n.o.Now, Point: n.o.Point}
}

// starter opens the function that tables start, on what is open.
func (n *Node) starter(m *mill, f *follow.Function, scratch string, lookup env.Lookup) error {
	ready, err := f.Open(lookup, follow.Invocation{Warehouse: m.warehouse, Chain: m.chain, Inputs: functions.Inputs(n.o.Functions, n.o.Followers),
		Log: n.o.Log, Now: n.o.Now, Owner: n.owner(), Lease: n.o.Lease, Scratch: scratch, Point: n.o.Point})
	if err != nil {
		return err
	}
	m.follower = &Starter{Function: f.Name, Follower: ready, Warehouse: m.warehouse, Log: n.o.Log, Now: n.o.Now}
	return nil
}

func (m *mill) close() error {
	var errs []error
	if m.follower != nil {
		errs = append(errs, m.follower.Close())
	}
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
