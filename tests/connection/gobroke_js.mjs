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
console.log("js ok");
