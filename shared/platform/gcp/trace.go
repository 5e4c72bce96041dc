package gcp

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strconv"
)

var (
	w3c   = regexp.MustCompile(`^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$`) // traceparent
	cloud = regexp.MustCompile(`^([0-9A-Fa-f]{32})(?:/([0-9]{1,20}))?(?:;.*)?$`)            // X-Cloud-Trace-Context: the span is decimal
)

// trace is the fields by which Cloud Logging finds the lines of one request.
func trace(h http.Header) (fields []slog.Attr) {
	id, span := "", ""
	if m := w3c.FindStringSubmatch(h.Get("traceparent")); m != nil {
		id, span = m[1], m[2]
	} else if m := cloud.FindStringSubmatch(h.Get("X-Cloud-Trace-Context")); m != nil {
		id = m[1]
		if n, err := strconv.ParseUint(m[2], 10, 64); err == nil {
			span = fmt.Sprintf("%016x", n)
		}
	}
	if project := os.Getenv("GOOGLE_CLOUD_PROJECT"); id != "" && project != "" {
		id = "projects/" + project + "/traces/" + id
	}
	if id != "" {
		fields = append(fields, slog.String("logging.googleapis.com/trace", id))
	}
	if span != "" {
		fields = append(fields, slog.String("logging.googleapis.com/spanId", span))
	}
	if run := h.Get("Function-Execution-Id"); run != "" {
		fields = append(fields, slog.Any("logging.googleapis.com/labels", map[string]string{"execution_id": run}))
	}
	return fields
}
