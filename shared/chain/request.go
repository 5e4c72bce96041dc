package chain

import (
	"encoding/base64"
	"net/http"

	"github.com/millrace-data/millrace/shared/fault"
)

// The headers of Cloud Scheduler.
const (
	schedulerJob  = "X-CloudScheduler-JobName"
	schedulerMark = "X-CloudScheduler"
	schedulerTime = "X-CloudScheduler-ScheduleTime"
)

// request is the events of an HTTP request.
func request(header http.Header, body []byte, depth int) ([]Event, error) {
	if header.Get("ce-specversion") != "" {
		return occurred(header.Get("ce-type"), header.Get("ce-id"), header.Get("ce-source"), body)
	}
	if header.Get(schedulerMark) == "" && header.Get(schedulerJob) == "" {
		return read(body, depth)
	}
	due := header.Get(schedulerTime)
	switch {
	case blank(body):
		return ticked([]byte("{}"), due)
	case sent(body):
		return ticked(body, due)
	}
	return read(body, depth)
}

// urlRequest is what Lambda makes of a request to a function URL, payload 2.0.
type urlRequest struct {
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	Base64  bool              `json:"isBase64Encoded"`
}

// unpack takes the HTTP request out of a function URL's event.
func unpack(event []byte) (http.Header, []byte, error) {
	var r urlRequest
	if err := decode(event, &r); err != nil {
		return nil, nil, err
	}
	header := http.Header{}
	for k, v := range r.Headers {
		header.Set(k, v)
	}
	if !r.Base64 {
		return header, []byte(r.Body), nil
	}
	body, err := base64.StdEncoding.DecodeString(r.Body)
	if err != nil {
		return nil, nil, fault.New(fault.Invalid, "function URL: the body is not base64")
	}
	return header, body, nil
}
