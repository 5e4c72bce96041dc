package aws_test

import (
	"strings"
	"testing"

	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/follow"
	"github.com/millrace-data/millrace/shared/platform/aws"
	"github.com/millrace-data/millrace/shared/platform/nodetest"
)

// A function that follows tables takes what SNS puts into its queue and what its
// schedule sends, and names what comes again.
func TestFollower(t *testing.T) {
	w := nodetest.New(t)
	scores := lambdaOf(t, &aws.Handler{Options: w.Options(t, "scores", "SCORES_TOKEN=k")})
	var fails error
	w.Follow = func(follow.Start) ([]follow.Outcome, error) {
		return []follow.Outcome{{Name: "daily", State: "applied", Rows: 3}}, fails
	}
	attribute := func(v string) dict { return dict{"Type": "String", "Value": v} }
	envelope := string(document(t, dict{"Type": "Notification", "MessageId": "n1", "TopicArn": "arn:aws:sns:us-east-1:1:millrace-loaded",
		"Message": `{"function":"items","table":"items.items","slice":"s"}`, "MessageAttributes": dict{chain.AttributeTopic: attribute(chain.TopicLoaded),
			chain.AttributeKey: attribute("items.items"), "function": attribute("items"), "table": attribute("items.items"), "slice": attribute("s")}}))
	queued := document(t, dict{"Records": []dict{record("m1", envelope, "", nil)}})
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"done", nil, `{"batchItemFailures":[]}`},
		{"passes", fault.New(fault.Transient, "away"), `{"batchItemFailures":[{"itemIdentifier":"m1"}]}`},
		{"key refused", fault.New(fault.Auth, "the key"), `{"batchItemFailures":[]}`},
	} {
		fails = tc.err
		if got := scores(queued); got.failed || got.body != tc.want {
			t.Errorf("%s: got %+v, want %s", tc.name, got, tc.want)
		}
	}
	fails = nil
	if got := scores([]byte(`{"function":"scores","scheduled_time":"2025-01-05T02:15:00Z","execution_id":"x"}`)); got.failed || !strings.Contains(got.body, `"applied"`) {
		t.Errorf("a tick: got %+v", got)
	}
	starts := w.Starts()
	if len(starts) != 4 || starts[0].Table != "items.items" || starts[3].Table != "" || starts[3].At.IsZero() {
		t.Errorf("starts are %+v", starts)
	}
}
