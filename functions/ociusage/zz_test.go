package ociusage_test
import ("testing";"time";"github.com/millrace-data/millrace/functions/ociusage/ociusagetest")
func TestBig(t *testing.T){
 b:=start(t,ociusagetest.Options{})
 n:=b.twin.Generate(ociusagetest.Plan{Table:"cost_report",From:march,Files:1,Rows:300000})
 a:=time.Now(); t.Log(len(b.twin.Bytes(n[0])), time.Since(a))
 a=time.Now(); o:=b.run(t,"cost_report"); t.Log(o[0].State,o[0].Rows,o[0].Rejected,time.Since(a))
 b.balanced(t,"cost_report")
}
