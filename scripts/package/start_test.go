package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"

	twin "github.com/millrace-data/millrace/functions/thoughtindustries/thoughtindustriestest"
	"github.com/millrace-data/millrace/shared/chain"
	"github.com/millrace-data/millrace/shared/warehouse/snowflake/snowflaketest"
)

// fn is the function that is packaged and started: its vendor's twin needs no jobs.
const fn = "thoughtindustries"

// world is what a function finds around it: Snowflake's stand-in, Pub/Sub, a folder
// as the stage, and the vendor.
type world struct {
	topics  *pstest.Server
	stage   string
	environ []string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	sf := snowflaketest.Start(snowflaketest.Options{})
	t.Cleanup(sf.Close)
	vendor := httptest.NewServer(twin.New(twin.Options{}))
	t.Cleanup(vendor.Close)
	w := &world{topics: pstest.NewServerWithAddress("127.0.0.1:0"), stage: t.TempDir()}
	t.Cleanup(func() { w.topics.Close() })
	for _, name := range []string{chain.TopicSlices, chain.TopicLoaded} {
		if _, err := w.topics.GServer.CreateTopic(t.Context(), &pubsubpb.Topic{Name: "projects/p/topics/" + name}); err != nil {
			t.Fatal(err)
		}
	}
	w.environ = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir(), "HOME=" + t.TempDir(),
		"MILLRACE_WAREHOUSE=snowflake:" + sf.DSN(), "MILLRACE_STAGE=file://" + w.stage, "MILLRACE_CHAIN=pubsub:p",
		"PUBSUB_EMULATOR_HOST=" + w.topics.Addr,
		"SALESFORCE_LOGIN_URL=http://127.0.0.1:1", "SALESFORCE_CLIENT_ID=app", "SALESFORCE_CLIENT_SECRET=secret",
		"THOUGHT_INDUSTRIES_BASE_URL=" + vendor.URL, "THOUGHT_INDUSTRIES_API_KEY=" + twin.DefaultKey}
	return w
}

// slice is the message that the tick published, as the event that a cloud delivers.
func (w *world) slice(t *testing.T) []byte {
	t.Helper()
	all := w.topics.Messages()
	if len(all) != 1 {
		t.Fatalf("the tick asked for %d slices, want 1: all users", len(all))
	}
	m := chain.Message{Topic: chain.TopicSlices, Data: all[0].Data, Attributes: all[0].Attributes, ID: all[0].ID}
	return chain.MessageEvent(m, "p", "slices-"+fn, time.Now())
}

// staged reports whether a manifest is in the stage.
func (w *world) staged(t *testing.T) bool {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(w.stage, fn, "users", "*", "*", "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	return len(found) == 1
}

// state is the state of the only event of an answer.
func state(t *testing.T, answer []byte) string {
	t.Helper()
	type one struct {
		Events []struct{ State, Error string }
	}
	var a one
	if bytes.HasPrefix(answer, []byte("[")) {
		var many []one
		if err := json.Unmarshal(answer, &many); err != nil || len(many) != 1 {
			t.Fatalf("answer %s: %v", answer, err)
		}
		a = many[0]
	} else if err := json.Unmarshal(answer, &a); err != nil {
		t.Fatalf("answer %s: %v", answer, err)
	}
	if len(a.Events) != 1 {
		t.Fatalf("answer %s is about %d events, want 1", answer, len(a.Events))
	}
	return strings.TrimSpace(a.Events[0].State + " " + a.Events[0].Error)
}

const tick = `{"function":"` + fn + `","tables":["users"],"scheduled_time":"2025-01-08T01:00:00Z"}`

// packaged packages a function some times, compares, and unpacks it.
func packaged(t testing.TB, o order, times int) (dir string) {
	t.Helper()
	var first []byte
	var path string
	for range times {
		o.out = t.TempDir()
		var said strings.Builder
		if err := run(t.Context(), o, &said); err != nil {
			t.Fatal(err)
		}
		path, _, _ = strings.Cut(said.String(), " ")
		zip, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && !bytes.Equal(first, zip) {
			t.Fatalf("%s for %s: two packages of the same sources differ", o.fn, o.cloud)
		}
		first = zip
	}
	dir = t.TempDir()
	if err := unpack(path, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// start runs a program until the test ends; its log goes to the test's.
func start(t testing.TB, path string, environ ...string) {
	t.Helper()
	cmd := exec.Command(path)
	cmd.Env, cmd.Dir = environ, filepath.Dir(path)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(path), log.String())
		}
	})
}

// buildGCP builds a package as Google's builder does.
func buildGCP(t testing.TB, dir string) (program string) {
	t.Helper()
	main := filepath.Join(dir, "functions.local", "app")
	if err := os.MkdirAll(main, 0o755); err != nil {
		t.Fatal(err)
	}
	// What the builder writes, but for the address: the builder's binds all of them.
	source := fmt.Sprintf("package main\n\nimport (\n\t\"log\"\n\t\"os\"\n\n\t_ %q\n\n\t%q\n)\n\nfunc main() { log.Fatal(funcframework.StartHostPort(\"127.0.0.1\", os.Getenv(\"PORT\"))) }\n",
		module, "github.com/GoogleCloudPlatform/functions-framework-go/funcframework")
	if err := os.WriteFile(filepath.Join(main, "main.go"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(t.TempDir(), "main")
	if err := os.Symlink(dir, filepath.Join(filepath.Dir(program), "serverless_function_source_code")); err != nil { // where the builder leaves the sources
		t.Fatal(err)
	}
	// GOPROXY=off: everything that the build needs is in the package. Paths are
	// trimmed so that the build cache serves the next run.
	if _, err := tool(t.Context(), dir, []string{"CGO_ENABLED=0", "GOPROXY=off", "GOFLAGS=-mod=vendor"}, "build", "-trimpath", "-o", program, main); err != nil {
		t.Fatal(err)
	}
	return program
}

// serveGCP starts what buildGCP built, and waits for its first answer.
func serveGCP(t testing.TB, program, name string, w *world) (url string) {
	t.Helper()
	port := freePort(t)
	start(t, program, append(w.environ, "PORT="+port, "FUNCTION_TARGET="+name)...)
	url = "http://127.0.0.1:" + port + "/"
	await(t, url)
	return url
}

// The package for Google serves a tick of Cloud Scheduler and a CloudEvent of
// Eventarc.
func TestGCP(t *testing.T) {
	onlyAsked(t)
	dir := packaged(t, order{fn: fn, cloud: "gcp", arch: "arm64"}, 2)
	w := newWorld(t)
	url := serveGCP(t, buildGCP(t, dir), fn, w)
	if got := state(t, post(t, url, tick, "Content-Type", "application/json", "X-CloudScheduler", "true")); got != "ticked" {
		t.Fatalf("a tick ended %q, want ticked", got)
	}
	event := w.slice(t)
	if got := state(t, post(t, url, string(event), "Content-Type", "application/cloudevents+json")); got != "staged" {
		t.Errorf("a slice ended %q, want staged", got)
	}
	if !w.staged(t) {
		t.Error("there is no manifest in the stage")
	}
}

// startAWS starts a bootstrap against a Runtime API.
func startAWS(t testing.TB, dir, name string, w *world) *runtimeAPI {
	t.Helper()
	api := newRuntimeAPI(t)
	start(t, filepath.Join(dir, "bootstrap"), append(w.environ, "AWS_LAMBDA_RUNTIME_API="+api.address,
		"AWS_LAMBDA_FUNCTION_NAME=millrace-"+name, "AWS_REGION=us-east-1", "AWS_LAMBDA_LOG_STREAM_NAME=test")...)
	return api
}

// The bootstrap for AWS asks the Runtime API for work and serves an input of
// EventBridge Scheduler and a message of a queue.
func TestAWS(t *testing.T) {
	onlyAsked(t)
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("this machine cannot run what Lambda runs")
	}
	dir := packaged(t, order{fn: fn, cloud: "aws", arch: runtime.GOARCH}, 2)
	w := newWorld(t)
	api := startAWS(t, dir, fn, w)
	if got := state(t, api.invoke(t, []byte(tick))); got != "ticked" {
		t.Fatalf("a tick ended %q, want ticked", got)
	}
	body, err := json.Marshal(string(w.slice(t)))
	if err != nil {
		t.Fatal(err)
	}
	batch := api.invoke(t, fmt.Appendf(nil, `{"Records":[{"messageId":"m1","eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:us-east-1:1:q","attributes":{"ApproximateReceiveCount":"1"},"body":%s}]}`, body))
	if string(batch) != `{"batchItemFailures":[]}` {
		t.Errorf("the batch was answered with %s, want no failures", batch)
	}
	if !w.staged(t) {
		t.Error("there is no manifest in the stage")
	}
}
