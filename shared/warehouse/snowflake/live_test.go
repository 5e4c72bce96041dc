package snowflake_test

import (
	"crypto/rand"
	"database/sql"
	"os"
	"strings"
	"testing"

	sf "github.com/snowflakedb/gosnowflake/v2"

	"github.com/millrace-data/millrace/shared/warehouse"
	"github.com/millrace-data/millrace/shared/warehouse/snowflake"
	"github.com/millrace-data/millrace/shared/warehouse/warehousetest"
)

// TestLive runs the kit against an account. MILLRACE_LIVE_SNOWFLAKE is a DSN whose
// role may create databases: each property gets a transient one of its own, which
// is dropped at its end. The database that the DSN names is not written to.
func TestLive(t *testing.T) {
	dsn := os.Getenv("MILLRACE_LIVE_SNOWFLAKE")
	if dsn == "" {
		t.Skip("MILLRACE_LIVE_SNOWFLAKE is not set")
	}
	cfg, _, err := snowflake.Parse(dsn, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	admin := sql.OpenDB(sf.NewConnector(sf.SnowflakeDriver{}, *cfg))
	defer admin.Close()
	head, query, _ := strings.Cut(dsn, "?")
	account, _, _ := strings.Cut(head, "/")
	warehousetest.Run(t, func(t *testing.T) *warehouse.Warehouse {
		db := "MILLRACE_TEST_" + rand.Text()[:8]
		if _, err := admin.ExecContext(t.Context(), `CREATE TRANSIENT DATABASE "`+db+`" DATA_RETENTION_TIME_IN_DAYS = 0`); err != nil {
			t.Fatal(err)
		}
		w, err := openDSN(t, account+"/"+db+"?"+query)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			w.Close()
			if _, err := admin.Exec(`DROP DATABASE "` + db + `"`); err != nil {
				t.Errorf("drop it by hand: %v", err)
			}
		})
		return w
	})
}
