// receive-callback in JavaScript, as a merchant would write it with wechatpay-axios-plugin and the AWS SDK: verify and
// open the callback, give it to the queue as it came, answer 204. It reads its keys once a minute and unseals the APIv3
// key once, as the function in this repository does.
'use strict';

const { randomBytes } = require('node:crypto');
const { DynamoDBClient, GetItemCommand } = require('@aws-sdk/client-dynamodb');
const { DecryptCommand, KMSClient } = require('@aws-sdk/client-kms');
const { SendMessageCommand, SQSClient } = require('@aws-sdk/client-sqs');
const { Aes: { AesGcm }, Formatter, Rsa } = require('wechatpay-axios-plugin');

const KEYS_FRESH_MS = 60000;
const WINDOW_S = 300;

const dynamodb = new DynamoDBClient({});
const kms = new KMSClient({});
const sqs = new SQSClient({});
const mchid = process.env.WECHATPAY_MCHID;

let kept = { freshUntil: 0 };

async function merchantKeys(now) {
  if (now < kept.freshUntil) {
    return kept;
  }
  const { Item: item } = await dynamodb.send(new GetItemCommand({
    TableName: process.env.KEYS_TABLE, Key: { pk: { S: `merchant#${mchid}` } }, ConsistentRead: true,
  }));
  const asText = JSON.stringify(item);
  if (asText !== kept.asText) {
    const newest = item.apiv3.L[0].M;
    const { Plaintext: apiv3 } = await kms.send(new DecryptCommand({
      KeyId: process.env.SECRETS_KEY_ID,
      CiphertextBlob: newest.sealed.B,
      EncryptionContext: { purpose: 'apiv3-key', mchid, version: newest.version.N },
    }));
    const publicKeys = new Map(item.verification.L.map(({ M: { id, pem } }) => [
      id.S, Rsa.from(pem.S, Rsa.KEY_TYPE_PUBLIC),
    ]));
    kept = { asText, publicKeys, apiv3: Buffer.from(apiv3) };
  }
  kept.freshUntil = now + KEYS_FRESH_MS;
  return kept;
}

function refuse(statusCode, cause) {
  console.warn(JSON.stringify({ message: 'callback refused', cause }));
  return {
    statusCode,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ code: 'FAIL', message: cause }),
  };
}

exports.handler = async ({ headers, body: given, isBase64Encoded }) => {
  const body = isBase64Encoded ? Buffer.from(given, 'base64').toString('utf8') : given;
  const now = Date.now();
  const timestamp = headers['wechatpay-timestamp'];
  if (!(Math.abs(now / 1000 - Number(timestamp)) <= WINDOW_S)) {
    return refuse(401, 'stale');
  }
  const { publicKeys, apiv3 } = await merchantKeys(now);
  const publicKey = publicKeys.get(headers['wechatpay-serial']);
  const text = Formatter.response(timestamp, headers['wechatpay-nonce'], body);
  if (!publicKey || !Rsa.verify(text, headers['wechatpay-signature'], publicKey)) {
    return refuse(401, 'wrong_signature');
  }
  const notice = JSON.parse(body);
  const { ciphertext, nonce, associated_data: associatedData } = notice.resource;
  const transaction = JSON.parse(AesGcm.decrypt(ciphertext, apiv3, nonce, associatedData));
  if (!transaction.out_trade_no) {
    return refuse(500, 'plaintext');
  }
  const traceId = randomBytes(16).toString('hex');
  await sqs.send(new SendMessageCommand({
    QueueUrl: process.env.PAYMENT_RESULTS_QUEUE_URL,
    MessageBody: JSON.stringify({
      v: 'callback.v1',
      headers: {
        timestamp,
        nonce: headers['wechatpay-nonce'],
        serial: headers['wechatpay-serial'],
        signature: headers['wechatpay-signature'],
        signature_type: headers['wechatpay-signature-type'],
      },
      body,
    }),
    MessageAttributes: {
      traceparent: { DataType: 'String', StringValue: `00-${traceId}-${randomBytes(8).toString('hex')}-01` },
    },
  }));
  console.info(JSON.stringify({ message: 'callback queued', notice_id: notice.id, trace_id: traceId }));
  return { statusCode: 204 };
};
