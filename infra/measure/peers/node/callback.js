// Opens the same payment notice as often as it is told on standard input, with wechatpay-axios-plugin, and says how
// long it took.
//
// One line in: a count. One line out: wall time, and CPU time of the whole process, in nanoseconds.
'use strict';

const { readFileSync } = require('node:fs');
const readline = require('node:readline');
const { Aes: { AesGcm }, Formatter, Rsa } = require('wechatpay-axios-plugin');

const given = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const publicKeys = new Map([[given.public_key_id, Rsa.from(given.public_key_pem, Rsa.KEY_TYPE_PUBLIC)]]);
const WINDOW_S = 300;

// As the package's own guide has it: age, the header's text, the signature, then the resource.
function open(headers, body) {
  const age = Formatter.timestamp() - Number(headers['Wechatpay-Timestamp']);
  const publicKey = publicKeys.get(headers['Wechatpay-Serial']);
  if (Math.abs(age) > WINDOW_S || publicKey === undefined) {
    return undefined;
  }
  const text = Formatter.response(headers['Wechatpay-Timestamp'], headers['Wechatpay-Nonce'], body);
  if (!Rsa.verify(text, headers['Wechatpay-Signature'], publicKey)) {
    return undefined;
  }
  const notice = JSON.parse(body);
  const { ciphertext, nonce, associated_data: associatedData } = notice.resource;
  notice.resource = JSON.parse(AesGcm.decrypt(ciphertext, given.apiv3_key, nonce, associatedData));
  return notice;
}

if (open(given.headers, given.body).resource.out_trade_no !== given.order_no) {
  throw new Error('the notice did not open');
}
if (open(given.headers, given.body.replace('TRANSACTION.SUCCESS', 'TRANSACTION.FAILURE')) !== undefined) {
  throw new Error('a changed notice opened');
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const count = Number(line);
  const [wall, cpu] = [process.hrtime.bigint(), process.cpuUsage()];
  for (let done = 0; done < count; done += 1) {
    open(given.headers, given.body);
  }
  const took = process.hrtime.bigint() - wall;
  const { user, system } = process.cpuUsage(cpu);
  console.log(`${took} ${(user + system) * 1000}`);
});
