package floor

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
)

// Zuora is a BI view of Zuora Revenue, which comes in pages of one query, each asked
// for by the token that came with the first.
type Zuora struct {
	URL, Username, Password, Role, ClientName, ClientID string

	View     string
	PageSize int
}

// Pages downloads the view page by page into dir, as gzipped CSV, and inserts all of
// them as text into a database there. It returns the rows inserted.
func (z Zuora) Pages(ctx context.Context, dir string) (int64, error) {
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	api := z.URL + "/api/integration/"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, api+"v1/authenticate", nil)
	if err != nil {
		return 0, err
	}
	req.SetBasicAuth(z.Username, z.Password)
	req.Header.Set("role", z.Role)
	req.Header.Set("clientname", z.ClientName)
	head, _, err := save(client, req, filepath.Join(dir, "login.json"))
	if err != nil {
		return 0, err
	}
	login, query := head.Get("Revpro-Token"), ""
	for page := 1; ; page++ {
		q := url.Values{"clientId": {z.ClientID}, "fromDate": {"2016-07-26T00:00:00"}, "toDate": {"2030-01-01T00:00:00"},
			"pagenum": {strconv.Itoa(page)}, "pageSize": {strconv.Itoa(z.PageSize)}, "outputType": {"gzip"}}
		if req, err = http.NewRequestWithContext(ctx, http.MethodGet, api+"v2/biviews/"+z.View+"?"+q.Encode(), nil); err != nil {
			return 0, err
		}
		req.Header.Set("token", login)
		if query != "" {
			req.Header.Set("continuation-token", query)
		}
		head, found, err := save(client, req, filepath.Join(dir, fmt.Sprintf("page-%05d.csv.gz", page)))
		if err != nil {
			return 0, err
		}
		if !found {
			break
		}
		query = cmp.Or(query, head.Get("continuation-token"))
	}
	names, err := header(filepath.Join(dir, "page-00001.csv.gz"))
	if err != nil {
		return 0, err
	}
	var cols []column
	for _, n := range names {
		cols = append(cols, column{n, "VARCHAR"})
	}
	return insert(ctx, dir, cols, fmt.Sprintf("SELECT * FROM read_csv(%s, header = true, all_varchar = true)", quote(filepath.Join(dir, "page-*.csv.gz"))))
}

// save writes the answer into a file; found is false where there is none.
func save(client *http.Client, req *http.Request, path string) (head http.Header, found bool, err error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, false, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusNotFound, http.StatusNoContent:
		return resp.Header, false, nil
	case http.StatusOK:
	default:
		return nil, false, fmt.Errorf("%s %s: status %d", req.Method, req.URL.Path, resp.StatusCode)
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, false, err
	}
	if _, err := io.Copy(f, resp.Body); err != nil {
		f.Close()
		return nil, false, err
	}
	return resp.Header, true, f.Close()
}
