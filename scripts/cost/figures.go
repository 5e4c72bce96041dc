package main

// figure is one number with what it is, its unit, and where it is from.
type figure struct {
	is         float64
	unit       string
	what, from string
}

// Measured on this project; README.md, "Measured", unless it says otherwise.
var (
	bothHops = &figure{7.3, "s per 1 M rows", "REST: vendor to committed, both hops", "README: REST pages, 20 ms each"}
	worst    = &figure{12.0, "s per 1 M rows", "the slowest source: a `.csv.gz` report, both hops", "README: one `.csv.gz` cost report"}
	firstHop = &figure{3.23, "s per 1 M rows", "REST: vendor to manifests", "README: the first hop of REST, 10 M rows in 32.3 s"}
	cores    = &figure{2, "cores", "on a machine of; taken as busy all the time, so CPU is an upper bound", "README"}
	rowBytes = &figure{82, "bytes", "a row in the stage, compressed", "`make demo`: 22,371,530 bytes of parts for 273,452 rows of five connectors"}
	slices   = &figure{150, "slices", "one round of all five connectors", "`make demo`, ledger"}
	reads    = &figure{153, "invocations", "extracts in that round, continuations included", "`make demo`, `millrace.runs`"}
	commits  = &figure{163, "invocations", "loads in that round", "`make demo`, `millrace.runs`"}
	pages    = &figure{855, "pages", "asked of vendors in that round", "`make demo`, `millrace.runs`"}
	objects  = &figure{337, "objects", "written to the stage in that round, manifests included", "`make demo`"}
	partMB   = &figure{10, "MB", "a part of a large table in the stage", "64 MB before compression, shared/extract"}

	measured = [...]*figure{bothHops, worst, firstHop, cores, rowBytes, slices, reads, commits, pages, objects, partMB}
)

// Assumed: no account of ours, no vendor of yours.
var (
	pageWait  = &figure{3, "s", "a vendor's answer with one page", "slow APIs; the twins answer in 20 ms"}
	opening   = &figure{3, "s", "an invocation's start, secrets and login to Snowflake", "a login takes 0.5 to 1 s"}
	loadWait  = &figure{10, "s", "one slice's load: claim, COPY, apply, commit", "some 20 statements"}
	loadRows  = &figure{4.2, "s per 1 M rows", "an X-Small warehouse copies and applies rows in", "what DuckDB takes on two cores (7.3 − 3.1); `make live` measures yours"}
	ticks     = &figure{8, "ticks", "a day, of all connectors' schedules", "infra/functions.json"}
	suspend   = &figure{60, "s", "the warehouse stays awake after the last statement", "AUTO_SUSPEND, infra/snowflake"}
	days      = &figure{30, "days", "a month", ""}
	keepSmall = &figure{90, "days", "the stage keeps objects", "stage_days of infra"}
	keepLarge = &figure{35, "days", "the stage keeps objects, of the largest case", "stage_days of infra, the least"}

	assumed = [...]*figure{pageWait, opening, loadWait, loadRows, ticks, suspend, days, keepSmall, keepLarge}
)

// List prices of US regions (us-east-1, us-central1), noted in November 2026. They
// change: look them up before you decide.
var (
	lambdaGB      = &figure{0.0000133334, "per GB-second", "Lambda, arm64", "aws.amazon.com/lambda/pricing"}
	lambdaRequest = &figure{0.20, "per 1 M requests", "Lambda", "aws.amazon.com/lambda/pricing"}
	runCPU        = &figure{0.000024, "per vCPU-second", "Cloud Run functions, request-based", "cloud.google.com/run/pricing"}
	runGB         = &figure{0.0000025, "per GiB-second", "Cloud Run functions, request-based", "cloud.google.com/run/pricing"}
	runRequest    = &figure{0.40, "per 1 M requests", "Cloud Run functions", "cloud.google.com/run/pricing"}
	s3GB          = &figure{0.023, "per GB and month", "S3 Standard", "aws.amazon.com/s3/pricing"}
	gcsGB         = &figure{0.020, "per GB and month", "Cloud Storage Standard, one region", "cloud.google.com/storage/pricing"}
	put           = &figure{5.00, "per 1 M writes", "S3 and Cloud Storage, PUT or class A", "as above"}
	credit        = &figure{2.00, "per credit", "Snowflake Standard; Enterprise is 3.00. X-Small: 1 credit an hour", "snowflake.com/pricing"}
	tableTB       = &figure{23, "per TB and month", "Snowflake storage", "snowflake.com/pricing"}
	natAWS        = &figure{0.050, "per hour", "NAT gateway 0.045 and public address 0.005", "aws.amazon.com/vpc/pricing"}
	natGCP        = &figure{0.0246, "per hour", "two e2-micro 0.0168, Cloud NAT 0.0028, address 0.005", "cloud.google.com/vpc/network-pricing"}
	secretAWS     = &figure{0.40, "per month", "a secret of Secrets Manager", "aws.amazon.com/secrets-manager/pricing"}
	secretGCP     = &figure{0.06, "per month", "a version of a secret of Secret Manager", "cloud.google.com/secret-manager/pricing"}
	alarmAWS      = &figure{0.10, "per month", "a CloudWatch alarm", "aws.amazon.com/cloudwatch/pricing"}
	jobGCP        = &figure{0.10, "per month", "a job of Cloud Scheduler", "cloud.google.com/scheduler/pricing"}

	prices = [...]*figure{lambdaGB, lambdaRequest, runCPU, runGB, runRequest, s3GB, gcsGB, put, credit, tableTB, natAWS, natGCP, secretAWS, secretGCP, alarmAWS, jobGCP}
)

// What the clouds give with memory.
const (
	lambdaCPU = 1769.0 / 1024 // GB of memory for one vCPU of Lambda
	runSmall  = 1.0 / 3       // vCPU with 512 MiB of Cloud Run functions
	runMiddle = 7.0 / 12      // with 1 GiB
	runLarge  = 2.0           // GiB of memory for one vCPU, from 2 GiB on
)
