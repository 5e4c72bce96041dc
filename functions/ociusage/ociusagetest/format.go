package ociusagetest

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

const minute = "2006-01-02T15:04Z" // the proprietary reports have no seconds

// identity are the columns that cost and usage reports begin with.
func identity(columns ...string) []string {
	return append([]string{
		"lineItem/referenceNo", "lineItem/tenantId", "lineItem/intervalUsageStart", "lineItem/intervalUsageEnd",
		"product/service", "product/compartmentId", "product/compartmentName", "product/region",
		"product/availabilityDomain", "product/resourceId",
	}, columns...)
}

func (l *line) identity(cells ...string) []string {
	return append([]string{
		l.ref, Tenancy, l.start.Format(minute), l.end.Format(minute),
		l.service.name, "ocid1.compartment.oc1.." + l.compartment, l.compartment, Region,
		"XyZq:US-ASHBURN-AD-1", l.resource,
	}, cells...)
}

// end adds the columns that close both proprietary reports.
func endHeader(header []string, era int, tags []string) []string {
	header = append(header, "lineItem/isCorrection")
	if era != early {
		header = append(header, "lineItem/backreferenceNo")
	}
	for _, t := range tags {
		header = append(header, "tags/"+t)
	}
	return header
}

func (l *line) ending(cells []string, era int, tags []string) []string {
	cells = append(cells, strconv.FormatBool(l.back != ""))
	if era != early {
		cells = append(cells, l.back)
	}
	for _, t := range tags {
		cells = append(cells, l.tags[t])
	}
	return cells
}

func costHeader(era int, tags []string) []string {
	h := identity("usage/billedQuantity", "usage/billedQuantityOverage", "cost/subscriptionId", "cost/productSku",
		"product/Description", "cost/unitPrice", "cost/unitPriceOverage", "cost/myCost", "cost/myCostOverage",
		"cost/currencyCode", "cost/billingUnitReadable", "cost/skuUnitDescription", "cost/overageFlag")
	switch era {
	case early:
		h = slices.DeleteFunc(h, func(c string) bool { return c == "cost/skuUnitDescription" })
	case late:
		h = append(h, "cost/attributedCost ", "usage/attributedUsage")
	}
	return endHeader(h, era, tags)
}

func costCells(l *line, era int, tags []string) []string {
	c := l.identity(l.quantity, "", "90012345", l.service.sku, l.service.text, l.service.price, "", l.cost, "", "USD", l.service.unit)
	if era != early {
		c = append(c, l.service.unit+"s")
	}
	c = append(c, "N")
	if era == late {
		c = append(c, l.cost, "")
	}
	return l.ending(c, era, tags)
}

func usageHeader(era int, tags []string) []string {
	return endHeader(identity("product/resource", "usage/consumedQuantity", "usage/billedQuantity",
		"usage/consumedQuantityUnits", "usage/consumedQuantityMeasure"), era, tags)
}

func usageCells(l *line, era int, tags []string) []string {
	return l.ending(l.identity(l.service.resource, l.quantity, l.quantity, "MS", "COMPUTE_TIME"), era, tags)
}

func focusHeader(era int, _ []string) []string {
	h := []string{
		"BillingAccountId", "BillingAccountName", "SubAccountId", "SubAccountName", "Provider", "Publisher", "InvoiceIssuer",
		"PricingCategory", "PricingQuantity", "PricingUnit", "BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd",
		"BilledCost", "BillingCurrency", "EffectiveCost", "ListCost", "ListUnitPrice", "AvailabilityZone", "Region",
		"ResourceId", "ResourceName", "ResourceType", "ServiceCategory", "ServiceName", "ChargeCategory", "ChargeDescription", "ChargeFrequency",
		"SkuId", "SkuPriceId", "UsageQuantity", "UsageUnit", "Tags", "PricingCurrencyEffectiveCost ",
		"oci_ReferenceNumber", "oci_CompartmentId", "oci_CompartmentName", "oci_OverageFlag", "oci_UnitPriceOverage",
		"oci_BilledQuantityOverage", "oci_CostOverage", "oci_BackReferenceNumber",
	}
	if era == late {
		h = append(h, "oci_AttributedUsage", "oci_AttributedCost")
	}
	return h
}

func focusCells(l *line, era int, tags []string) []string {
	month := time.Date(l.start.Year(), l.start.Month(), 1, 0, 0, 0, 0, time.UTC)
	cost := l.cost
	if cost == "" {
		cost = "0" // FOCUS wants a number
	}
	c := []string{
		"90012345", "", Tenancy, "millrace", "Oracle", "Oracle", "",
		"", l.quantity, l.service.unit, month.Format(time.RFC3339), month.AddDate(0, 1, 0).Format(time.RFC3339), l.start.Format(time.RFC3339), l.end.Format(time.RFC3339),
		cost, "USD", cost, cost, l.service.price, "XyZq:US-ASHBURN-AD-1", Region,
		l.resource, "", l.service.resource, "Compute", l.service.name, "Usage", l.service.text, "Usage-Based",
		l.service.sku, "", l.quantity, l.service.unit, l.tagsJSON(tags), cost,
		l.ref, "ocid1.compartment.oc1.." + l.compartment, l.compartment, "N", "",
		"", "", l.back,
	}
	if era == late {
		c = append(c, "", cost)
	}
	return c
}

func (l *line) tagsJSON(keys []string) string {
	have := map[string]string{}
	for _, k := range keys {
		if v := l.tags[k]; v != "" {
			have[k] = v
		}
	}
	text, _ := json.Marshal(have) // strings only
	return string(text)
}
