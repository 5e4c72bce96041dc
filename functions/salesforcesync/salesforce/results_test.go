package salesforce

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-data/millrace/shared/fault"
	"github.com/millrace-data/millrace/shared/reverse"
)

func results(t *testing.T, c *Client, task reverse.Task) (out []string, err error) {
	t.Helper()
	for r, e := range c.Results(t.Context(), "750000000000001AAA", task) {
		if e != nil {
			err = e
			continue
		}
		out = append(out, fmt.Sprintf("%s %s %s %t %s %q %t", r.Key, r.State, r.ID, r.Created, r.Code, r.Message, r.Again))
	}
	return out, err
}

func TestResults(t *testing.T) {
	update := reverse.Task{Object: "Account", Operation: reverse.Update, Key: "Id", Fields: upsert.Fields}
	for _, tc := range []struct {
		name                 string
		task                 reverse.Task
		ok, failed, unworked string
		want                 []string
		kind                 error
	}{
		{"all three", upsert,
			"sf__Id,sf__Created,DW_Key__c,Name\n001A,true,k1,Acme\n001B,false,\"k,2\",\n",
			"\"sf__Id\",\"sf__Error\",DW_Key__c,Name\n\"\",\"REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --\",\"k3\",\"\"\n001C,\"UNABLE_TO_LOCK_ROW:unable: --\",k4,\n",
			"DW_Key__c,Name\nk5,x\n",
			[]string{`k1 sent 001A true  "" false`, `k,2 sent 001B false  "" false`,
				`k3 failed  false REQUIRED_FIELD_MISSING "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --" false`,
				`k4 failed 001C false UNABLE_TO_LOCK_ROW "UNABLE_TO_LOCK_ROW:unable: --" true`, `k5 unprocessed  false  "" false`}, nil},
		{"other order and case", upsert, "name,dw_key__c,SF__CREATED,\"SF__ID\"\nA,k1,TRUE,001A\n", "sf__Id,sf__Error,DW_Key__c\n", "", []string{`k1 sent 001A true  "" false`}, nil},
		{"nothing", upsert, "", "", "", nil, nil},
		{"headers", upsert, "sf__Id,sf__Created,DW_Key__c\n", "sf__Id,sf__Error,DW_Key__c\n", "DW_Key__c\n", nil, nil},
		{"byte order mark", upsert, "\ufeffsf__Id,sf__Created,DW_Key__c\n001A,false,k\n", "", "\ufeffDW_Key__c\nu\n", []string{`k sent 001A false  "" false`, `u unprocessed  false  "" false`}, nil},
		{"by id", update, "sf__Id,sf__Created,Id,Name\n001A,false,001A,x\n", "sf__Id,sf__Error,Id,Name\n001B,X:y,001b,x\n", "Id,Name\n001C,n\n",
			[]string{`001A sent 001A false  "" false`, `001b failed 001B false X "X:y" false`, `001C unprocessed  false  "" false`}, nil},
		{"by id, no column of ours", update, "sf__Id,sf__Created\n001A,false\n", "", "", []string{`001A sent 001A false  "" false`}, nil},
		{"no key", upsert, "sf__Id,sf__Created,Name\n001A,true,x\n", "", "", nil, fault.Corrupt},
		{"empty key", upsert, "sf__Id,sf__Created,DW_Key__c\n001A,true,\n", "", "", nil, fault.Corrupt},
		{"no error column", upsert, "", "sf__Id,DW_Key__c\n1,k\n", "", nil, fault.Corrupt},
		{"bare quote", upsert, "sf__Id,sf__Created,DW_Key__c\n001A,true,k\"1\n", "", "", nil, fault.Corrupt},
		{"short row", upsert, "sf__Id,sf__Created,DW_Key__c\n001A,true\n", "", "", nil, fault.Corrupt},
		{"web page", upsert, "html\n<p>hello", "", "", nil, fault.Corrupt},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := newOrg(t)
			for path, body := range map[string]string{"/successfulResults": tc.ok, "/failedResults": tc.failed, "/unprocessedrecords": tc.unworked} {
				o.json("GET "+jobPath+path, 200, body)
			}
			ok, failed := max(0, strings.Count(tc.ok, "\n")-1), max(0, strings.Count(tc.failed, "\n")-1)
			o.json("GET "+jobPath, 200, fmt.Sprintf(`{"id":"750","state":"JobComplete","numberRecordsProcessed":%d,"numberRecordsFailed":%d}`, ok+failed, failed))
			got, err := results(t, o.client(t), tc.task)
			if !errors.Is(err, tc.kind) || !slices.Equal(got, tc.want) {
				t.Errorf("got %q, %v\nwant %q, %v", got, err, tc.want, tc.kind)
			}
		})
	}
}

// TestUnreadableUnprocessed is a job whose CSV Salesforce could not read either.
func TestUnreadableUnprocessed(t *testing.T) {
	for processed, kind := range map[string]error{"0": fault.Corrupt, "1": nil, "2": fault.Transient} {
		o := newOrg(t)
		o.json("GET "+jobPath+"/successfulResults", 200, "sf__Id,sf__Created,DW_Key__c\n001A,true,k1\n")
		o.json("GET "+jobPath+"/failedResults", 200, "")
		o.json("GET "+jobPath+"/unprocessedrecords", 200, "DW_Key__c,Name\nk2,\"x\nk3,y\"z\n")
		o.json("GET "+jobPath, 200, `{"id":"750000000000001AAA","state":"Failed","numberRecordsProcessed":`+processed+`}`)
		got, err := results(t, o.client(t), upsert)
		if !errors.Is(err, kind) || len(got) != 1 {
			t.Errorf("%s processed: got %q, %v", processed, got, err)
		}
	}
}

// TestResultsThatAreSilent is an empty answer that a proxy gave.
func TestResultsThatAreSilent(t *testing.T) {
	o := newOrg(t)
	for _, o2 := range outcomes {
		o.json("GET "+jobPath+o2.path, 200, "")
	}
	o.json("GET "+jobPath, 200, `{"id":"750","state":"JobComplete","numberRecordsProcessed":2,"numberRecordsFailed":1}`)
	if got, err := results(t, o.client(t), upsert); fault.Of(err) != fault.Transient || got != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestResultsStop(t *testing.T) {
	o := newOrg(t)
	o.json("GET "+jobPath+"/successfulResults", 200, "sf__Id,sf__Created,DW_Key__c\n001A,true,k1\n001B,true,k2\n")
	for range o.client(t).Results(t.Context(), "750000000000001AAA", upsert) {
		break
	}
	if len(o.calls()) != 1 {
		t.Errorf("got %v", o.calls())
	}
}

func FuzzResults(f *testing.F) {
	for _, s := range []string{"sf__Id,sf__Created,DW_Key__c\n1,true,k\n", "\"sf__Id\",\"sf__Error\",DW_Key__c\n\"\",\"A:b --\",\"k\"\"\n", "DW_Key__c\n\"", "", "\ufeff\n", "a,b\n\"x\"y,z\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, o := range outcomes {
			n := int64(0)
			got, err := readResults(strings.NewReader(body), upsert, o, func(r reverse.Result, err error) bool {
				if n++; r.Key == "" || err != nil {
					t.Errorf("got %+v, %v", r, err)
				}
				return true
			})
			if got != n || err != nil && !errors.Is(err, fault.Corrupt) {
				t.Errorf("%d of %d results, %v", got, n, err)
			}
		}
	})
}
