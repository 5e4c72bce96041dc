package chain

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Delivery is a part of an invocation that ends on its own: one record of those
// that AWS hands over together, or all there is.
type Delivery struct {
	Events []Event // those that could be read
	Err    error   // fault.Invalid, about those that could not
	Raw    []byte  // all of it, to keep where Err is set
	Batch  string  // the id by which SQS wants to hear that it failed; "" = the invocation fails
	Queue  string  // ARN of that queue
	Handle string  // by which the queue knows this delivery
	Group  string  // of a FIFO queue: after one that failed, the later ones must wait
	Tries  int     // deliveries so far, this one counted; 0 = unknown
	Direct bool    // somebody waits for the answer, and only asked: it is no event that comes again
}

// Split reads an event like [Decode], but record by record: what cannot be read,
// or fails, takes nothing else with it.
func Split(body []byte) []Delivery {
	var e struct {
		Records []record `json:"Records"`
	}
	if decode(body, &e) != nil || len(e.Records) == 0 {
		events, err := read(body, 0)
		return []Delivery{{Events: events, Err: err, Raw: body}}
	}
	out := make([]Delivery, len(e.Records))
	for i, r := range e.Records {
		events, err := r.events(0)
		out[i] = Delivery{Events: events, Err: err, Raw: body}
		if r.source() == "aws:sqs" {
			out[i].Raw, out[i].Batch, out[i].Queue, out[i].Handle, out[i].Group = []byte(r.Body), r.ID, r.ARN, r.Receipt, r.System.Group
			out[i].Tries, _ = strconv.Atoi(text(r.System.Received))
		}
	}
	return out
}

// SplitRequest reads an HTTP request: what [Decode] reads, a CloudEvent in binary
// mode, or a call of Cloud Scheduler, which is a tick even where its body is empty.
func SplitRequest(header http.Header, body []byte) Delivery {
	d := Delivery{Raw: body}
	d.Events, d.Err = request(header, body, 0)
	var e struct {
		SpecVersion string         `json:"specversion"`
		Message     jsontext.Value `json:"message"`
		Tries       int            `json:"deliveryAttempt"`
	}
	pushed := header.Get("ce-specversion") != "" || decode(body, &e) == nil && (e.SpecVersion != "" || e.Message.Kind() == '{')
	d.Tries = e.Tries
	d.Direct = !pushed && (header.Get(schedulerMark) != "" || header.Get(schedulerJob) != "" || ticks(d.Events) || sent(body))
	return d
}

// ticks reports whether events are ticks, and there are any.
func ticks(events []Event) bool {
	return len(events) > 0 && !slices.ContainsFunc(events, func(e Event) bool { return e.Tick == nil })
}

// SplitURL reads a request to a Lambda function URL; ok is false for any other event.
func SplitURL(event []byte) (header http.Header, d Delivery, ok bool) {
	var e envelope
	if decode(event, &e) != nil || e.Context.HTTP == nil {
		return nil, d, false
	}
	header, body, err := unpack(event)
	if err != nil {
		return header, Delivery{Err: err, Raw: event}, true
	}
	return header, SplitRequest(header, body), true
}

// Newest leaves out the arrivals that a later one of the same object, among these,
// has overtaken.
func Newest(events []Event) (out []Event) {
	newest := map[[2]string]*Arrival{}
	for _, e := range events {
		if a := e.Arrival; a != nil {
			if id := [2]string{a.Bucket, a.Key}; newest[id] == nil || a.after(newest[id]) {
				newest[id] = a
			}
		}
	}
	for _, e := range events {
		if a := e.Arrival; a == nil || !newest[[2]string{a.Bucket, a.Key}].after(a) {
			out = append(out, e)
		}
	}
	return out
}

// after reports whether a was written later than b. Without numbers to tell, no.
func (a *Arrival) after(b *Arrival) bool {
	if a.Sequence != "" && b.Sequence != "" {
		return compare(strings.ToUpper(a.Sequence), strings.ToUpper(b.Sequence)) > 0
	}
	return later(a.Generation, b.Generation)
}

// later reports whether generation a of a GCS object is later than b. Versions of
// S3 objects are not numbers: the answer is no.
func later(a, b string) bool { return decimal(a) && decimal(b) && compare(a, b) > 0 }

// compare orders numbers of any length, written in digits of one case.
func compare(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

func decimal(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
