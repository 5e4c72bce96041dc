package main

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-data/millrace/functions"
	"github.com/millrace-data/millrace/functions/load"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/follow"
)

// function finds a connector of this app.
func (a *app) function(name string) (*extract.Function, error) {
	for _, f := range a.functions {
		if f.Name == name {
			return f, nil
		}
	}
	if a.follower(name) != nil {
		return nil, fault.New(fault.Invalid, "function %s is started by tables and reads no vendor: use millrace run %s", name, name)
	}
	return functions.Find(name)
}

// follower finds a function of this app that tables start; nil where there is none.
func (a *app) follower(name string) *follow.Function {
	for _, f := range a.followers {
		if f.Name == name {
			return f
		}
	}
	return nil
}

func (a *app) invokeCommand() *cobra.Command {
	var file string
	c := &cobra.Command{Use: "invoke FUNCTION --event FILE", Short: "Hand a function an event, as a cloud would", Args: cobra.ExactArgs(1),
		Long: `Hand a function an event as a cloud delivers it: a CloudEvent of Pub/Sub to a
connector, a CloudEvent of GCS or an S3 event to "load", a message of what was loaded
or a tick to a function that tables start. What follows from it, such as loading what
was read, is waited for.`,
		RunE: func(c *cobra.Command, args []string) error { return a.invoke(c.Context(), args[0], file) }}
	c.Flags().StringVar(&file, "event", "", "file with the event's JSON, - for stdin (required)")
	_ = c.MarkFlagRequired("event")
	return c
}

const eventMax = 10 << 20 // bytes; the largest event of any cloud, with room

func (a *app) invoke(ctx context.Context, function, file string) error {
	if f := a.follower(function); f != nil {
		if err := a.ready(f); err != nil {
			return err
		}
	} else if function != load.Name {
		if _, err := a.function(function); err != nil {
			return err
		}
	}
	event, err := a.read(file)
	if err != nil {
		return err
	}
	cloud, err := a.open(ctx, time.Time{}, 0, newProgress(a.err, false))
	if err != nil {
		return err
	}
	defer cloud.Close()
	rep, err := cloud.Invoke(ctx, function, event)
	if err != nil {
		return err
	}
	if err := a.report(rep); err != nil {
		return err
	}
	return ended(rep.Outcome)
}

func (a *app) read(file string) ([]byte, error) {
	in := a.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fault.New(fault.Invalid, "event: %w", err)
		}
		defer f.Close()
		in = f
	}
	event, err := io.ReadAll(io.LimitReader(in, eventMax+1))
	if err == nil && len(event) > eventMax {
		err = fault.New(fault.Invalid, "event %s is larger than any cloud sends (%d bytes)", file, eventMax)
	}
	return event, err
}
