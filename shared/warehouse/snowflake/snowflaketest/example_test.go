package snowflaketest_test

import (
	"database/sql"
	"fmt"

	_ "github.com/snowflakedb/gosnowflake/v2" // the unmodified driver

	"github.com/millrace-data/millrace/shared/warehouse/snowflake/snowflaketest"
)

func Example() {
	srv := snowflaketest.Start(snowflaketest.Options{})
	defer srv.Close()
	db, err := sql.Open("snowflake", srv.DSN())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	for _, q := range []string{`CREATE TABLE "t" ("id" NUMBER(38,0), "doc" VARIANT)`, `INSERT INTO "t" SELECT 1, PARSE_JSON('{"b": [2]}')`} {
		if _, err := db.Exec(q); err != nil {
			fmt.Println(err)
			return
		}
	}
	srv.Inject(snowflaketest.Fault{On: "SELECT", Kind: snowflaketest.Expire}) // the driver renews its token and asks again
	var n int
	err = db.QueryRow(`SELECT "doc":b[0]::NUMBER FROM "t" WHERE "id" = ?`, 1).Scan(&n)
	fmt.Println(n, err)
	_, err = db.Exec(`INSERT INTO "t" VALUES (2, '{"b": [3]}')`)
	fmt.Println(err != nil)
	// Output:
	// 2 <nil>
	// true
}
