package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/millrace-data/millrace/functions/zuorarevenue"
	"github.com/millrace-data/millrace/functions/zuorarevenue/zuorarevenuetest"
	"github.com/millrace-data/millrace/scripts/bench/floor"
	"github.com/millrace-data/millrace/shared/env"
	"github.com/millrace-data/millrace/shared/extract"
	"github.com/millrace-data/millrace/shared/platform/local"
)

// The view of the benchmark: 40 columns of approvals, 10,000 rows a page.
const (
	zuoraView    = "BI3_APPR_DTL"
	zuoraTable   = "bi3_appr_dtl"
	zuoraColumns = 40
	zuoraPage    = 10_000
	zuoraPath    = "/zuora" // of the tenant, at the vendors' address
)

// tenant is Zuora Revenue with n rows in the view.
func tenant(n int) *zuorarevenuetest.Server {
	o := zuorarevenuetest.Options{Seed: 1, Some: -1, Rows: map[string]int{zuoraView: n}}
	o.Columns = map[string][]string{zuoraView: zuorarevenuetest.New(o).Columns(zuoraView)[:zuoraColumns]}
	return zuorarevenuetest.New(o)
}

// zuoraOurs reads the view in full through the connector: count, snapshot, swap.
func zuoraOurs(ctx context.Context, s settings, home string) (rows int64, err error) {
	conf := zuorarevenuetest.Env(s.URL + zuoraPath)
	maps.Copy(conf, map[string]string{"ZUORA_REVENUE_VIEWS": zuoraView, "ZUORA_REVENUE_PAGE_SIZE": strconv.Itoa(zuoraPage)})
	cloud, err := local.Open(ctx, local.Options{Home: home, Functions: []*extract.Function{zuorarevenue.Function}, Env: env.Map(conf)})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, cloud.Close()) }()
	rep, err := cloud.Run(ctx, local.Request{Function: zuorarevenue.Function.Name, Request: extract.Request{Tables: []string{zuoraTable}}})
	if err != nil {
		return 0, err
	}
	if rep.Outcome != local.OK {
		return 0, fmt.Errorf("zuorarevenue ended %s: %+v", rep.Outcome, rep.Errors)
	}
	return rep.Tables[0].RowsLoaded, nil
}

func zuoraFloor(ctx context.Context, s settings, dir string) (int64, error) {
	return floor.Zuora{URL: s.URL + zuoraPath, Username: zuorarevenuetest.Username, Password: zuorarevenuetest.Password,
		Role: zuorarevenuetest.Role, ClientName: zuorarevenuetest.ClientName, ClientID: zuorarevenuetest.ClientID,
		View: zuoraView, PageSize: zuoraPage}.Pages(ctx, dir)
}
