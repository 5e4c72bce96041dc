package platform

import (
	"context"
	"io"
	"log/slog"
)

// attrsKey is where Attrs keeps them.
type attrsKey struct{}

// Attrs adds attributes to everything that is logged with ctx: the trace and the
// request of an invocation.
func Attrs(ctx context.Context, a ...slog.Attr) context.Context {
	old, _ := ctx.Value(attrsKey{}).([]slog.Attr)
	return context.WithValue(ctx, attrsKey{}, append(old[:len(old):len(old)], a...))
}

// Log writes one JSON object a line, in the members that both clouds understand:
// severity and message for Google, level, timestamp and message for Amazon.
func Log(w io.Writer) *slog.Logger {
	h := slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) > 0 {
			return a
		}
		switch a.Key {
		case slog.MessageKey:
			a.Key = "message"
		case slog.TimeKey:
			a.Key = "timestamp"
		}
		return a
	}})
	return slog.New(handler{h})
}

// handler adds the severity and what Attrs put into the context.
type handler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	severity := r.Level.String()
	if r.Level == slog.LevelWarn {
		severity = "WARNING"
	}
	r.AddAttrs(slog.String("severity", severity))
	if more, ok := ctx.Value(attrsKey{}).([]slog.Attr); ok {
		r.AddAttrs(more...)
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs(a []slog.Attr) slog.Handler { return handler{h.Handler.WithAttrs(a)} }

// WithGroup implements slog.Handler.
func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }
