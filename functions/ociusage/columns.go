package ociusage

import (
	"time"

	"github.com/millrace-data/millrace/shared/record"
)

// The row types follow the headers that public readers of these files agree on
// (oracle-samples/usage-reports-to-adw at c0e85d88 and three others, read
// 2026-11); Oracle publishes no schema with types. A field that is not a pointer
// must be in every file. Decimals have 18 digits after the point and 20 before:
// reports carry up to 15, and quantities of bytes are long.

// lineItem is what cost and usage rows have in common.
type lineItem struct {
	ReferenceNo     string       `field:"lineItem/referenceNo" doc:"Oracle's id of the row, the target of corrections; expected to be unique in the tenancy."`
	TenantID        *string      `field:"lineItem/tenantId" doc:"Tenancy OCID."`
	UsageStart      time.Time    `field:"lineItem/intervalUsageStart" doc:"Start of the hour of usage, UTC, minute precision; the only business date there is."`
	UsageEnd        *time.Time   `field:"lineItem/intervalUsageEnd" doc:"End of the hour of usage, exclusive, UTC."`
	Service         *string      `field:"product/service"`
	CompartmentID   *string      `field:"product/compartmentId" doc:"Compartment OCID."`
	CompartmentName *string      `field:"product/compartmentName"`
	Region          *string      `field:"product/region"`
	Domain          *string      `field:"product/availabilityDomain"`
	ResourceID      *string      `field:"product/resourceId" doc:"Resource OCID; some services have none."`
	IsCorrection    *bool        `field:"lineItem/isCorrection" doc:"True: the row corrects an earlier one. Rows add up; a correction replaces nothing."`
	BackreferenceNo *string      `field:"lineItem/backreferenceNo" doc:"referenceNo of the corrected row, perhaps in a much older file; the oldest files lack the column."`
	Tags            *record.JSON `field:"tags" pii:"email" doc:"All tag columns that have a value, keyed by their exact header (tags/team). Tags are stamped at usage time; CreatedBy names users."`
}

// costRow is a row of reports/cost-csv/.
type costRow struct {
	lineItem
	BilledQuantity        *record.Decimal `field:"usage/billedQuantity" decimal:"38,18" doc:"Overage included."`
	BilledQuantityOverage *record.Decimal `field:"usage/billedQuantityOverage" decimal:"38,18"`
	SubscriptionID        *string         `field:"cost/subscriptionId" doc:"Digits; an OCID in Oracle's internal tenancies."`
	ProductSKU            string          `field:"cost/productSku" doc:"Part number, e.g. B88514."`
	Description           *string         `field:"product/Description" doc:"Empty for some old SKUs."`
	UnitPrice             *record.Decimal `field:"cost/unitPrice" decimal:"38,18"`
	UnitPriceOverage      *record.Decimal `field:"cost/unitPriceOverage" decimal:"38,18"`
	MyCost                *record.Decimal `field:"cost/myCost" decimal:"38,18" doc:"The amount, overage included, in cost/currencyCode; need not equal price times quantity. Empty is null, not 0."`
	MyCostOverage         *record.Decimal `field:"cost/myCostOverage" decimal:"38,18"`
	CurrencyCode          string          `field:"cost/currencyCode"`
	BillingUnitReadable   *string         `field:"cost/billingUnitReadable"`
	SKUUnitDescription    *string         `field:"cost/skuUnitDescription" doc:"Missing in files of 2020; later the better billing unit."`
	OverageFlag           *string         `field:"cost/overageFlag" doc:"Y, N or empty."`
	AttributedCost        *record.Decimal `field:"cost/attributedCost" decimal:"38,18" doc:"Since about the end of 2024."`
	AttributedUsage       *record.Decimal `field:"usage/attributedUsage" decimal:"38,18" doc:"Since about the end of 2024."`
}

// usageRow is a row of reports/usage-csv/.
type usageRow struct {
	lineItem
	Resource         *string         `field:"product/resource" doc:"Kind of resource."`
	ConsumedQuantity *record.Decimal `field:"usage/consumedQuantity" decimal:"38,18"`
	BilledQuantity   *record.Decimal `field:"usage/billedQuantity" decimal:"38,18"`
	ConsumedUnits    *string         `field:"usage/consumedQuantityUnits" doc:"E.g. MS, BYTES."`
	ConsumedMeasure  *string         `field:"usage/consumedQuantityMeasure" doc:"E.g. DATA_TRANSFERRED, STORAGE_SIZE."`
}

// focusRow is a row of FOCUS Reports/. It declares FOCUS 1.0 under the names of
// the specification, the names that Oracle's reports kept from FOCUS 0.5, and
// Oracle's own oci_ columns. Only what every FOCUS file must have is not null.
type focusRow struct {
	BilledCost                   record.Decimal  `field:"BilledCost" decimal:"38,18" doc:"What is invoiced for the charge, in BillingCurrency."`
	BillingCurrency              string          `field:"BillingCurrency"`
	ChargePeriodStart            time.Time       `field:"ChargePeriodStart" doc:"Inclusive, UTC."`
	ChargePeriodEnd              *time.Time      `field:"ChargePeriodEnd" doc:"Exclusive, UTC."`
	BillingPeriodStart           *time.Time      `field:"BillingPeriodStart" doc:"Inclusive, UTC."`
	BillingPeriodEnd             *time.Time      `field:"BillingPeriodEnd" doc:"Exclusive, UTC."`
	EffectiveCost                *record.Decimal `field:"EffectiveCost" decimal:"38,18"`
	ListCost                     *record.Decimal `field:"ListCost" decimal:"38,18"`
	ContractedCost               *record.Decimal `field:"ContractedCost" decimal:"38,18"`
	ListUnitPrice                *record.Decimal `field:"ListUnitPrice" decimal:"38,18"`
	ContractedUnitPrice          *record.Decimal `field:"ContractedUnitPrice" decimal:"38,18"`
	PricingQuantity              *record.Decimal `field:"PricingQuantity" decimal:"38,18"`
	PricingUnit                  *string         `field:"PricingUnit"`
	PricingCategory              *string         `field:"PricingCategory"`
	PricingCurrencyEffectiveCost *record.Decimal `field:"PricingCurrencyEffectiveCost" decimal:"38,18" doc:"Oracle's header ends in a space, which is trimmed."`
	ConsumedQuantity             *record.Decimal `field:"ConsumedQuantity" decimal:"38,18"`
	ConsumedUnit                 *string         `field:"ConsumedUnit"`
	UsageQuantity                *record.Decimal `field:"UsageQuantity" decimal:"38,18" doc:"FOCUS 0.5 name of ConsumedQuantity, which Oracle uses."`
	UsageUnit                    *string         `field:"UsageUnit"`
	BillingAccountID             *string         `field:"BillingAccountId"`
	BillingAccountName           *string         `field:"BillingAccountName"`
	SubAccountID                 *string         `field:"SubAccountId"`
	SubAccountName               *string         `field:"SubAccountName"`
	Provider                     *string         `field:"Provider" doc:"Oracle's name of ProviderName."`
	ProviderName                 *string         `field:"ProviderName"`
	Publisher                    *string         `field:"Publisher" doc:"Oracle's name of PublisherName."`
	PublisherName                *string         `field:"PublisherName"`
	InvoiceIssuer                *string         `field:"InvoiceIssuer" doc:"Oracle's name of InvoiceIssuerName."`
	InvoiceIssuerName            *string         `field:"InvoiceIssuerName"`
	ChargeCategory               *string         `field:"ChargeCategory"`
	ChargeClass                  *string         `field:"ChargeClass"`
	ChargeDescription            *string         `field:"ChargeDescription"`
	ChargeFrequency              *string         `field:"ChargeFrequency"`
	CommitmentDiscountCategory   *string         `field:"CommitmentDiscountCategory"`
	CommitmentDiscountID         *string         `field:"CommitmentDiscountId"`
	CommitmentDiscountName       *string         `field:"CommitmentDiscountName"`
	CommitmentDiscountStatus     *string         `field:"CommitmentDiscountStatus"`
	CommitmentDiscountType       *string         `field:"CommitmentDiscountType"`
	AvailabilityZone             *string         `field:"AvailabilityZone"`
	Region                       *string         `field:"Region" doc:"Oracle's name of RegionId."`
	RegionID                     *string         `field:"RegionId"`
	RegionName                   *string         `field:"RegionName"`
	ResourceID                   *string         `field:"ResourceId"`
	ResourceName                 *string         `field:"ResourceName"`
	ResourceType                 *string         `field:"ResourceType"`
	ServiceCategory              *string         `field:"ServiceCategory"`
	ServiceName                  *string         `field:"ServiceName"`
	SKUID                        *string         `field:"SkuId"`
	SKUPriceID                   *string         `field:"SkuPriceId"`
	Tags                         *record.JSON    `field:"Tags" pii:"email" doc:"The tags as the file has them, a JSON object."`
	OCIReferenceNumber           *string         `field:"oci_ReferenceNumber" doc:"lineItem/referenceNo of the cost report."`
	OCIBackReferenceNumber       *string         `field:"oci_BackReferenceNumber" doc:"Set on corrections: the row that is corrected."`
	OCICompartmentID             *string         `field:"oci_CompartmentId"`
	OCICompartmentName           *string         `field:"oci_CompartmentName"`
	OCIOverageFlag               *string         `field:"oci_OverageFlag"`
	OCIUnitPriceOverage          *record.Decimal `field:"oci_UnitPriceOverage" decimal:"38,18"`
	OCIBilledQuantityOverage     *record.Decimal `field:"oci_BilledQuantityOverage" decimal:"38,18"`
	OCICostOverage               *record.Decimal `field:"oci_CostOverage" decimal:"38,18"`
	OCIAttributedUsage           *record.Decimal `field:"oci_AttributedUsage" decimal:"38,18"`
	OCIAttributedCost            *record.Decimal `field:"oci_AttributedCost" decimal:"38,18"`
}
