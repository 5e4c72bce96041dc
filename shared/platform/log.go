package platform

import (
	"context"
	"io"
	"log/slog"
	"time"
)

// NewLog makes a log of JSON lines that both clouds read: severity and message for
// Google, level and timestamp for AWS. What [With] put into a line's context is on
// the line.
func NewLog(w io.Writer) *slog.Logger {
	return slog.New(lines{slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: spell})})
}

type fieldsKey struct{}

// With returns a context whose log lines carry more, such as the trace they are of.
func With(ctx context.Context, fields ...slog.Attr) context.Context {
	had, _ := ctx.Value(fieldsKey{}).([]slog.Attr)
	return context.WithValue(ctx, fieldsKey{}, append(had[:len(had):len(had)], fields...))
}

// lines adds the fields of the context.
type lines struct{ slog.Handler }

// Handle implements slog.Handler.
func (l lines) Handle(ctx context.Context, r slog.Record) error {
	r = r.Clone()
	r.AddAttrs(slog.String("severity", severity(r.Level)), slog.Time("timestamp", r.Time.UTC()))
	if fields, ok := ctx.Value(fieldsKey{}).([]slog.Attr); ok {
		r.AddAttrs(fields...)
	}
	return l.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (l lines) WithAttrs(a []slog.Attr) slog.Handler { return lines{l.Handler.WithAttrs(a)} }

// WithGroup implements slog.Handler.
func (l lines) WithGroup(name string) slog.Handler { return lines{l.Handler.WithGroup(name)} }

// spell gives the standard fields the names that Google knows; AWS's are added.
func spell(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.MessageKey:
		a.Key = "message"
	case slog.TimeKey:
		if t, ok := a.Value.Any().(time.Time); ok {
			a.Value = slog.TimeValue(t.UTC())
		}
	}
	return a
}

// severity is Google's word for a level.
func severity(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "ERROR"
	case l >= slog.LevelWarn:
		return "WARNING"
	case l >= slog.LevelInfo:
		return "INFO"
	}
	return "DEBUG"
}
