package env

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/millrace-data/millrace/shared/fault"
)

type config struct {
	BaseURL   string        `envconfig:"BASE_URL" required:"true" doc:"the tenant's address"`
	APIKey    Secret        `envconfig:"API_KEY" required:"true" doc:"made under Settings > Keys"`
	Views     []string      `envconfig:"VIEWS"`
	YearStart int           `split_words:"true" default:"1"`
	Every     time.Duration `default:"1h"`
	Pins      []pin         `envconfig:"PINS"`
	Spare     *Secret       `envconfig:"SPARE"`
	Inner     struct {
		Path string `default:"a\"b,c"`
	}
}

// pin is a type that parses itself and is strict.
type pin int

func (p *pin) Decode(s string) error {
	if len(s) != 4 {
		return errors.New("want four digits")
	}
	return nil
}

func TestLoad(t *testing.T) {
	t.Parallel()
	var c config
	err := Load(Map(map[string]string{
		"V_BASE_URL": `https://x/"quoted"\n`, "V_API_KEY": "key=`1\"", "V_VIEWS": "a,b", "V_YEAR_START": "2",
		"V_EVERY": "", "PINS": "not ours", "V_SPARE": "s",
	}), "V", &c)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(c.BaseURL, c.APIKey.Reveal(), c.Views, c.YearStart, c.Every, c.Pins, c.Spare.Reveal(), c.Inner.Path)
	want := fmt.Sprint(`https://x/"quoted"\n`, "key=`1\"", []string{"a", "b"}, 2, time.Hour, []pin(nil), "s", `a"b,c`)
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestLoadFromOS(t *testing.T) {
	t.Setenv("V_BASE_URL", "u")
	t.Setenv("V_API_KEY", "k")
	var c config
	if err := Load(OS(), "V", &c); err != nil || c.BaseURL != "u" || c.APIKey.Reveal() != "k" {
		t.Errorf("got %v, %v", c, err)
	}
}

func TestLoadSaysAllAtOnce(t *testing.T) {
	t.Parallel()
	err := Load(Map(map[string]string{"V_API_KEY": "", "V_YEAR_START": "May", "V_PINS": "12"}), "V", new(config))
	if !errors.Is(err, fault.Invalid) {
		t.Fatalf("got %v, want invalid", err)
	}
	for _, want := range []string{
		"V_BASE_URL is not set (the tenant's address)", "V_API_KEY is not set (made under Settings > Keys)",
		"V_YEAR_START is not a valid int", "V_PINS is not a valid []env.pin: want four digits",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

func TestLoadRefusesReference(t *testing.T) {
	t.Parallel()
	err := Load(Map(map[string]string{"V_BASE_URL": "u", "V_API_KEY": "secret://team/hush"}), "V", new(config))
	if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "V_API_KEY") || strings.Contains(err.Error(), "hush") {
		t.Errorf("got %v, want V_API_KEY refused without its value", err)
	}
}

func TestLoadWantsAStruct(t *testing.T) {
	t.Parallel()
	if err := Load(OS(), "V", config{}); !errors.Is(err, fault.Invalid) {
		t.Errorf("got %v, want invalid", err)
	}
}

func TestSecretDoesNotShow(t *testing.T) {
	t.Parallel()
	s := NewSecret("hush")
	hidden := struct{ s Secret }{s}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb+verb+verb, s, &s, config{APIKey: s}, hidden)
	}
	if !strings.Contains(out.String(), mask) {
		t.Error("no mask")
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "s", s, "p", &s, "c", config{APIKey: s})
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "s", s, "c", config{APIKey: s})
	json.NewEncoder(&out).Encode(config{APIKey: s})
	if strings.Contains(out.String(), "hush") || strings.Contains(out.String(), "68757368") {
		t.Errorf("the secret shows: %s", out.String())
	}
	if s.Reveal() != "hush" || (Secret{}).Reveal() != "" {
		t.Error("Reveal lost the value")
	}
}

type vault map[string]string

func (v vault) Resolve(_ context.Context, ref string) (string, error) {
	if s, ok := v[ref]; ok {
		return s, nil
	}
	return "", fault.New(fault.Auth, "no access to %s", ref)
}

func TestResolved(t *testing.T) {
	t.Parallel()
	v := vault{"secret://a": "A", "secret://empty": ""}
	get, err := Resolved(t.Context(), []string{"K=secret://a", "P=x=y"}, v)
	if err != nil {
		t.Fatal(err)
	}
	k, _ := get("K")
	p, _ := get("P")
	if _, ok := get("NONE"); k != "A" || p != "x=y" || ok {
		t.Errorf("got %q, %q, %v", k, p, ok)
	}
	for ref, kind := range map[string]error{"secret://b": fault.Auth, "secret://empty": fault.Invalid} {
		if _, err := Resolved(t.Context(), []string{"K=" + ref}, v); !errors.Is(err, kind) || !strings.Contains(err.Error(), "variable K") {
			t.Errorf("%s: got %v, want %v naming K", ref, err, kind)
		}
	}
}
