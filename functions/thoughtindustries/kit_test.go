package thoughtindustries_test

import (
	"testing"
	"time"

	"github.com/millrace-data/millrace/functions/thoughtindustries"
	"github.com/millrace-data/millrace/functions/thoughtindustries/thoughtindustriestest"
	"github.com/millrace-data/millrace/shared/extract/extracttest"
)

func TestConnector(t *testing.T) {
	extracttest.Connector(t, thoughtindustries.Function, func(size int) extracttest.Twin {
		twin := thoughtindustriestest.New(thoughtindustriestest.Options{Events: 20 * size, Users: 250 * size, Others: 10 * size})
		return extracttest.Twin{
			Handler: twin, Now: now, Secrets: []string{thoughtindustriestest.DefaultKey, "@example.com"}, Count: twin.Count,
			Env: func(baseURL string) map[string]string {
				return map[string]string{"THOUGHT_INDUSTRIES_BASE_URL": baseURL, "THOUGHT_INDUSTRIES_API_KEY": thoughtindustriestest.DefaultKey}
			},
			Tables: []string{"logins", "users"},
			Late:   func() time.Time { twin.Late("login", now.Add(-2*day), 3); return now.Add(time.Hour) },
			Field:  "language",
		}
	})
}
