// The client for browsers with sockets that this file plays; run by test_gobroke_js.py.
import assert from "node:assert";
const sockets = [];
globalThis.WebSocket = class { constructor(u){this.url=new URL(u);this.readyState=0;this.sent=[];this.bufferedAmount=0;sockets.push(this);}
 send(t){this.sent.push(JSON.parse(t));} close(c){this.closed=c;this.readyState=3;}
 open(w){this.readyState=1;this.onopen();this.frame({type:"welcome",client:"ann",node:"n",session:"s",offset:0,...w});}
 frame(f){this.onmessage({data:JSON.stringify(f)});} };
const { Connection } = await import(process.argv[2]);
const next=async(n)=>{while(sockets.length<n) await new Promise(r=>setTimeout(r,1));return sockets[n-1];};
const c=new Connection("ws://h/ws",{client:"ann",firstWait:1});
const told=[]; for (const k of ["opened","message","lost","ended","refused"]) c.addEventListener(k,e=>told.push([k,e.detail]));
const a=await next(1); assert.equal(a.url.search,"?client=ann&recover=1");
a.open(); const q=c.request(1,"x"); a.frame({type:"reply",uuid:a.sent[0].uuid,data:2}); assert.equal(await q,2);
a.frame({type:"message",data:1,offset:5}); a.frame({type:"message",data:1,offset:5});
assert.equal(told.filter(t=>t[0]==="message").length,1);
const lostAsk=c.request(1,"x"), sure=c.deliver(1,"w"); c.send(1,{to_logic:"x"});
a.onclose({code:4002,reason:""});
await assert.rejects(lostAsk,e=>e.code==="connection_lost");
const b=await next(2); assert.equal(b.url.search,"?client=ann&session=s&offset=5"); b.open({recovered:true,offset:5});
assert.deepEqual(b.sent.map(f=>f.receipt),[true]); assert.equal(b.sent[0].uuid,a.sent[2].uuid);
b.frame({type:"receipt",uuid:b.sent[0].uuid,logic:"w",state:"done"}); assert.equal((await sure).state,"done");
const slow=c.deliver(1,"w",{timeout:20}); await assert.rejects(slow,e=>e.code==="timed_out");
assert.equal(c.state==="open",false,"nothing heard"); const d=await next(3); d.open({recovered:false,offset:1});
assert.equal(told.filter(t=>t[0]==="opened").at(-1)[1].recovered,false);
d.onclose({code:4503,reason:"gone"}); assert.equal(c.state,"closed"); assert.throws(()=>c.send(1,{to_logic:"x"}),e=>e.code==="connection_ended");

// An edge that ends says when to come back, in milliseconds: the own wait would be an hour.
const made=[]; const connect=(o)=>{const one=new Connection("ws://h/ws",{client:"ben",firstWait:3.6e6,longestWait:3.6e6,...o});made.push(one);return one;};
const e=connect(); const lost=[]; e.addEventListener("lost",({detail})=>lost.push(detail.retryIn));
(await next(4)).open(); sockets[3].frame({type:"closed",code:1001,reason:"",retry_after:20});
sockets[3].onclose({code:1001,reason:""}); assert.deepEqual(lost,[20]); (await next(5)).open({recovered:true});
sockets[4].onclose({code:1001,reason:""}); assert.notEqual(lost[1],20,"the hint is for one wait");

// A gap, and what was dropped in it.
const g=connect({firstWait:1}); const gaps=[],seen=[];
g.addEventListener("gap",({detail})=>gaps.push(detail));
g.addEventListener("message",({detail})=>seen.push(detail.data));
const f=await next(6); f.open(); f.frame({type:"message",data:1,offset:5}); f.frame({type:"gap",dropped:3});
assert.deepEqual(gaps.map(({dropped,offset})=>[dropped,offset]),[[3,5]]);
f.frame({type:"message",data:9,offset:9}); assert.equal(g.comeBack(gaps[0]),true); f.frame({type:"message",data:11,offset:11});
const h=await next(7); assert.equal(h.url.searchParams.get("offset"),"5"); h.open({recovered:true,offset:5});
for (const n of [6,7,9]) h.frame({type:"message",data:n,offset:n});
assert.deepEqual(seen,[1,9,6,7,9],"late: what followed the gap comes again");
h.onclose({code:4002,reason:""}); (await next(8)).open({recovered:false,offset:40}); assert.equal(g.comeBack(gaps[0]),false);
g.close(); assert.equal(g.comeBack(gaps[0]),false);

// A question is answered on the connection that brought it, and on no other.
const w=connect({firstWait:1}); const asked=[]; w.addEventListener("message",({detail})=>asked.push(detail));
const i=await next(9); i.open(); i.frame({type:"message",uuid:"q",data:"who?",reply_to:"r1",offset:1});
w.answer(asked[0],"Ben"); assert.deepEqual(i.sent,[{reply:"r1",data:"Ben"}]);
i.onclose({code:4002,reason:""}); assert.throws(()=>w.answer(asked[0],"Ben"),x=>x.code==="connection_lost");
const j=await next(10); j.open({recovered:true,offset:1}); assert.throws(()=>w.answer(asked[0],"Ben"),x=>x.code==="connection_lost");
assert.deepEqual(j.sent,[]); w.close();

// A token is renewed before its end; one that is refused, or that can't be had, is tried again. A second is a millisecond here.
const real=setTimeout; globalThis.setTimeout=(work,ms)=>real(work,ms/1000);
const jwt=(n)=>`x.${btoa(JSON.stringify({exp:Date.now()/1000+60,n}))}.x`; let had=0;
const t=new Connection("ws://h/ws",{token:async()=>{if(++had===3) throw new Error("no token now");return jwt(had);}});
const k=await next(11); assert.equal(k.url.searchParams.has("client"),false); const shown=({token})=>JSON.parse(atob(token.split(".")[1])).n;
assert.equal(shown({token:k.url.searchParams.get("token")}),1); k.open(); const wrote=async(n)=>{while(k.sent.length<n) await new Promise(r=>real(r,1));return k.sent[n-1];};
const first=await wrote(1); assert.equal(shown(first),2); k.frame({type:"error",code:"unauthorised",text:"",uuid:first.uuid});
assert.equal(shown(await wrote(2)),4); k.frame({type:"refreshed",uuid:k.sent[1].uuid}); assert.equal(t.state,"open");
t.close(); made.forEach(one=>one.close()); assert.equal(k.closed,1000);
console.log("js ok");
