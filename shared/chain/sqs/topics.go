package sqs

import (
	"net/url"
	"strings"

	"github.com/millrace-data/millrace/shared/fault"
)

// Topics says which SNS topics are meant: those of one account in one region.
type Topics struct {
	prefix string // arn:PARTITION:sns:REGION:ACCOUNT
	fifo   bool
}

// ParseTopics reads arn:aws:sns:REGION:ACCOUNT, where ?fifo=true says that the topics
// of keyed messages are FIFO ones, with .fifo at the end of their names.
func ParseTopics(s string) (Topics, error) {
	arn, query, _ := strings.Cut(s, "?")
	part := strings.Split(arn, ":")
	options, err := url.ParseQuery(query)
	if err != nil || len(part) != 5 || part[0] != "arn" || part[1] == "" || part[2] != "sns" || part[3] == "" || part[4] == "" {
		return Topics{}, fault.New(fault.Invalid, "chain sns: want arn:aws:sns:REGION:ACCOUNT, where the topics are")
	}
	return Topics{prefix: arn, fifo: options.Get("fifo") == "true"}, nil
}

// Region is where the topics are.
func (t Topics) Region() string { return strings.Split(t.prefix, ":")[3] }

// arn names a topic; ordered reports whether it is a FIFO one.
func (t Topics) arn(topic, key string) (arn string, ordered bool) {
	if t.fifo && key != "" {
		return t.prefix + ":" + topic + ".fifo", true
	}
	return t.prefix + ":" + topic, false
}
