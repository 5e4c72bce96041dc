package local

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gocloud.dev/blob"

	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/platform"
	"github.com/millrace-data/millrace/shared/stage"
	"github.com/millrace-data/millrace/shared/warehouse"
)

// settings is what the environment says about the cloud itself.
type settings struct {
	Home      string        `envconfig:"HOME" default:".millrace" doc:"folder of the embedded warehouse, the stage and scratch"`
	Warehouse string        `envconfig:"WAREHOUSE" doc:"duckdb:PATH, or snowflake:USER@ACCOUNT/DATABASE?… as in infra/README.md"`
	Stage     string        `envconfig:"STAGE" doc:"file:///FOLDER, gs://BUCKET/FOLDER or s3://BUCKET/FOLDER?region=REGION"`
	Chain     string        `envconfig:"CHAIN" default:"local" doc:"local"`
	Deadline  time.Duration `envconfig:"DEADLINE" default:"9m" doc:"budget of one invocation, a Go duration"`
}

// Places is where a cloud keeps things; absolute paths.
type Places struct {
	Home      string
	Warehouse string // the DuckDB file; of a service, what may be shown of its name
	Stage     string // a folder, or a bucket as MILLRACE_STAGE names it
	Scratch   string // a folder
	Deadline  time.Duration

	remote func(context.Context) (*warehouse.Warehouse, error) // opens a service; nil = a file

	stage platform.StagePlace
}

// Locate reads the MILLRACE_ variables without opening anything. home, where it
// is not empty, stands in for MILLRACE_HOME. What this build does not offer is
// fault.Invalid.
func Locate(lookup env.Lookup, home string) (p Places, err error) {
	var s settings
	if err := env.Load(lookup, "MILLRACE", &s); err != nil {
		return p, err
	}
	if home == "" {
		home = s.Home
	}
	if s.Chain != "local" {
		return p, unknown("MILLRACE_CHAIN", s.Chain, "local (Pub/Sub inside the process)")
	}
	if s.Deadline <= 0 {
		return p, fault.New(fault.Invalid, "MILLRACE_DEADLINE is %s: an invocation needs time, for example 9m", s.Deadline)
	}
	p.Deadline = s.Deadline
	if p.Home, err = filepath.Abs(home); err != nil {
		return p, fault.New(fault.Invalid, "folder %s: %w", home, err)
	}
	p.Scratch = filepath.Join(p.Home, "scratch")
	if strings.HasPrefix(s.Warehouse, snowflakeScheme) {
		p.Warehouse, p.remote = platform.Scheme(s.Warehouse), func(ctx context.Context) (*warehouse.Warehouse, error) {
			return platform.OpenWarehouse(ctx, s.Warehouse, "millrace", lookup)
		}
	} else {
		p.Warehouse, err = file(s.Warehouse, filepath.Join(p.Home, "warehouse.duckdb"))
	}
	if err == nil {
		p.Stage, p.stage, err = stageAt(s.Stage, filepath.Join(p.Home, "stage"))
	}
	return p, err
}

const snowflakeScheme = "snowflake:"

// Remote reports whether the warehouse is a service, and not a file of ours.
func (p Places) Remote() bool { return p.remote != nil }

func file(value, otherwise string) (string, error) {
	if value == "" {
		return otherwise, nil
	}
	path, ok := strings.CutPrefix(value, "duckdb:")
	if !ok || path == "" {
		return "", unknown("MILLRACE_WAREHOUSE", platform.Scheme(value), "duckdb:PATH and snowflake:DSN")
	}
	return filepath.Abs(path)
}

// stageAt takes MILLRACE_STAGE apart, and gives the words by which people know it.
func stageAt(value, otherwise string) (string, platform.StagePlace, error) {
	if value == "" {
		return otherwise, platform.StagePlace{Scheme: "file", Folder: otherwise}, nil
	}
	p, err := platform.ParseStage(value)
	if err != nil || p.Bucket != "" {
		return value, p, err
	}
	return p.Folder, p, nil
}

// openStage opens the stage, which the caller closes by its bucket. arrived is told
// of manifests.
func (p Places) openStage(ctx context.Context, arrived func(context.Context, string) error) (*blob.Bucket, *stage.Store, error) {
	b, o, err := p.stage.Open(ctx)
	if err != nil {
		return nil, nil, err
	}
	o.Name = cmp.Or(o.Name, bucketName)
	o.Scratch, o.Arrived = p.Scratch, arrived
	return b, stage.New(b, o), nil
}

// CheckStage tries whether the stage can be written, read, listed and cleared.
func CheckStage(ctx context.Context, p Places) error {
	b, s, err := p.openStage(ctx, nil)
	if err != nil {
		return err
	}
	return errors.Join(s.Check(ctx), b.Close())
}

func unknown(key, value, offered string) error {
	return fault.New(fault.Invalid, "%s is %s, but this build offers only %s", key, value, offered)
}

// Make creates the folders.
func (p Places) Make() error {
	dirs := []string{p.Home, p.Scratch}
	if p.stage.Bucket == "" {
		dirs = append(dirs, p.Stage)
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fault.New(fault.Invalid, "create %s: %w; set MILLRACE_HOME to a folder you may write to", dir, err)
		}
	}
	return nil
}
