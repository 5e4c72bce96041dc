package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// load is one named workload.
type load struct {
	name, what string
	rows       float64 // M a month
	cpu        *figure // of both hops
	keep       *figure
	extract    use // a month
	load       use
	objects    float64 // a month
	awake      float64 // seconds a month that the warehouse runs
	working    []string
}

// use is invocations and what they take besides CPU: the time they wait.
type use struct {
	invocations float64
	wait        float64 // seconds in all
	memory      float64 // GB
	vcpu        float64 // that Cloud Run gives with it
}

var loads = []load{daily(), largest()}

// daily is all connectors once a day and 10 M rows a month.
func daily() load {
	l := load{name: "All connectors daily, 10 M rows a month", rows: 10, cpu: worst, keep: keepSmall,
		what: "Five connectors by their schedules, with slices and pages as in the demo every day."}
	one := pages.is/reads.is*pageWait.is + opening.is
	l.extract = use{reads.is * days.is, reads.is * days.is * one, 0.5, runSmall}
	l.load = use{commits.is * days.is, commits.is * days.is * loadWait.is, 1, runMiddle}
	l.objects = objects.is * days.is
	perDay := reads.is*one + ticks.is*(loadWait.is+suspend.is)
	l.awake = perDay * days.is
	l.working = []string{
		sum("one extract waits", "%s pages / %s × %s s + %s s", one, "s", pages.is, reads.is, pageWait.is, opening.is),
		sum("the warehouse is awake a day", "%s × %s s + %s ticks × (%s s + %s s)", perDay, "s", reads.is, one, ticks.is, loadWait.is, suspend.is),
	}
	return l
}

// largest is the largest case of the field: 10 M rows every 10 minutes.
func largest() load {
	const every, batch = 144, 10.0 // a day; M rows
	l := load{name: "The largest case: 10 M rows every 10 minutes", rows: every * batch * days.is, cpu: bothHops, keep: keepLarge,
		what: "One REST table, appended. A table that is merged into costs the warehouse more, by how much of it a batch touches."}
	l.extract = use{every * days.is, every * days.is * opening.is, 1.727, 1}
	l.load = use{every * days.is, every * days.is * (loadWait.is + batch*loadRows.is), 1, runMiddle}
	parts := math.Ceil(batch * rowBytes.is / partMB.is)
	l.objects = every * days.is * (parts + 1)
	one := loadWait.is + batch*loadRows.is + suspend.is
	l.awake = every * days.is * one
	l.working = []string{
		sum("one batch in the stage", "%s M × %s bytes", batch*rowBytes.is, "MB", batch, rowBytes.is),
		sum("one batch is extracted on one vCPU in", "%s M × %s s × %s cores", batch*firstHop.is*cores.is, "s, of 540 that it may take", batch, firstHop.is, cores.is),
		sum("the warehouse is awake a batch", "%s s + %s M × %s s + %s s", one, "s, of 600", loadWait.is, batch, loadRows.is, suspend.is),
	}
	return l
}

// page writes the sums of a workload.
func (l load) page(b *strings.Builder) {
	cpu := l.rows * l.cpu.is * cores.is
	gb := l.extract.wait*l.extract.memory + l.load.wait*l.load.memory
	calls := l.extract.invocations + l.load.invocations + ticks.is*days.is
	lambda := cpu*lambdaCPU + gb
	vcpu := cpu + l.extract.wait*l.extract.vcpu + l.load.wait*l.load.vcpu
	gib := cpu*runLarge + gb
	kept := l.rows * rowBytes.is / 1000 / days.is * l.keep.is // GB
	runCalls := calls + l.objects                             // Google announces every object
	hours := l.awake / 3600
	grown := l.rows * rowBytes.is / 1e6 // TB

	fmt.Fprintf(b, "\n## %s\n\n%s\n\n", l.name, l.what)
	for _, w := range l.working {
		fmt.Fprintf(b, "- %s\n", w)
	}
	fmt.Fprintf(b, "- %s\n", sum("CPU of the functions", "%s M rows × %s s × %s cores", cpu, "vCPU-seconds", l.rows, l.cpu.is, cores.is))
	fmt.Fprintf(b, "- %s\n", sum("waiting of the functions", "%s s × %s GB + %s s × %s GB", gb, "GB-seconds", l.extract.wait, l.extract.memory, l.load.wait, l.load.memory))

	b.WriteString("\n| a month | AWS | | Google Cloud | |\n|---|---|---|---|---|\n")
	both := func(what, aws string, awsIs float64, gcp string, gcpIs float64) (float64, float64) {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", what, aws, dollars(awsIs), gcp, dollars(gcpIs))
		return awsIs, gcpIs
	}
	var aws, gcp float64
	add := func(a, g float64) { aws, gcp = aws+a, gcp+g }
	add(both("compute", number(lambda)+" GB-s", lambda*lambdaGB.is,
		number(vcpu)+" vCPU-s, "+number(gib)+" GiB-s", vcpu*runCPU.is+gib*runGB.is))
	add(both("requests", number(calls), calls/1e6*lambdaRequest.is, number(runCalls), runCalls/1e6*runRequest.is))
	add(both("stage, kept", number(kept)+" GB", kept*s3GB.is, number(kept)+" GB", kept*gcsGB.is))
	add(both("stage, written", number(l.objects)+" objects", l.objects/1e6*put.is, number(l.objects)+" objects", l.objects/1e6*put.is))
	add(both("warehouse", number(l.awake)+" s = "+number(hours)+" credits", hours*credit.is, "the same", hours*credit.is))
	add(both("tables, each month more", number(grown)+" TB", grown*tableTB.is, "the same", grown*tableTB.is))
	both("**together**", "", aws, "", gcp)
	if never := days.is * 24; l.name == loads[1].name {
		fmt.Fprintf(b, "\nAt worst the warehouse never sleeps: %s credits, %s.\n", number(never), dollars(never*credit.is))
	}
}

// fixed writes what is paid whatever is loaded.
func fixed(b *strings.Builder) {
	const secrets, alarms, jobs = 5, 50, 5
	month := days.is * 24
	fmt.Fprintf(b, "\n## Whatever is loaded\n\n| a month | AWS | Google Cloud |\n|---|---|---|\n")
	fmt.Fprintf(b, "| secrets: %d | %s | %s |\n", secrets, dollars(secrets*secretAWS.is), dollars(secrets*secretGCP.is))
	fmt.Fprintf(b, "| alarms: %d on AWS; schedules: %d on Google | %s | %s |\n", alarms, jobs, dollars(alarms*alarmAWS.is), dollars(jobs*jobGCP.is))
	const hourly = 24 // ticks a day; infra/functions.json
	awake := hourly * days.is * (loadWait.is + suspend.is)
	fmt.Fprintf(b, "| the warehouse, with salesforcesync only: %d ticks a day × %s days × (%s s + %s s) | %s | %s |\n",
		hourly, number(days.is), number(loadWait.is), number(suspend.is), dollars(awake/3600*credit.is), dollars(awake/3600*credit.is))
	fmt.Fprintf(b, "| static address, with zuorarevenue only: %s h | %s | %s |\n", number(month), dollars(month*natAWS.is), dollars(month*natGCP.is))
}

// sum is a line of working: what = formula = result.
func sum(what, formula string, is float64, unit string, of ...float64) string {
	args := make([]any, len(of))
	for i, v := range of {
		args[i] = number(v)
	}
	return fmt.Sprintf("%s: %s = **%s %s**", what, fmt.Sprintf(formula, args...), number(is), unit)
}

// dollars rounds cents up: a small sum is not nothing.
func dollars(v float64) string { return "$" + grouped(math.Abs(math.Ceil(v*100-1e-9))/100, 2) }

// number has as many places as it needs to be recognised.
func number(v float64) string {
	switch a := math.Abs(v); {
	case v == math.Trunc(v) || a >= 1000:
		return grouped(v, 0)
	case a >= 100:
		return grouped(v, 1)
	case a >= 0.01:
		return strings.TrimRight(strings.TrimRight(grouped(v, 3), "0"), ".")
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// grouped writes thousands apart.
func grouped(v float64, places int) string {
	s := strconv.FormatFloat(v, 'f', places, 64)
	whole, rest, dot := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if dot {
		return whole + "." + rest
	}
	return whole
}
