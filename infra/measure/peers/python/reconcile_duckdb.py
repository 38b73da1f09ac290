"""Reconciles a day with DuckDB on one thread. It can unpack a text but not hash it on the way, so the bill is unpacked and
hashed into a file that it then reads."""
import os
import tempfile

import duckdb

from reconcile_job import BOOKS, MCHID, run, unpacked

READ_BILL = """
select * from read_csv($bill, columns = {columns}, header = false, skip = 1, auto_detect = false, null_padding = true,
    delim = ',', quote = '', escape = '')
"""

DIFFERENCES = f"""
with there as materialized (
    select
        "交易状态" = '`REFUND' as refund, "商户号" as mchid, "货币种类" as currency, substr("公众账号ID", 2) as appid,
        substr("商户订单号", 2) as order_no, substr("微信订单号", 2) as transaction_id,
        substr("微信退款单号", 2) as refund_id, substr("退款状态", 2) as state,
        if(refund, substr("商户退款单号", 2), transaction_id) as id,
        cast(cast(substr(if(refund, "申请退款金额", "订单金额"), 2) as decimal(18, 2)) * 100 as bigint) as amount_fen
    from bill where "申请退款金额" is not null
)
select 'there', there.id
from there left join books as here on here.id = there.id and (here.kind = 'refund') = there.refund
where here.id is null
    or here.order_no <> there.order_no or here.amount_fen <> there.amount_fen
    or there.mchid <> '`{MCHID}' or there.currency <> '`CNY'
    or not there.refund and here.appid <> there.appid
    or there.refund and (
        here.transaction_id <> there.transaction_id or here.refund_id <> there.refund_id
        or not (
            there.state = 'PROCESSING' and here.state in ('processing', 'succeeded', 'closed', 'abnormal')
            or there.state = 'SUCCESS' and here.state = 'succeeded'
            or there.state = 'FAIL' and here.state = 'closed'
            or there.state = 'CHANGE' and here.state in ('succeeded', 'abnormal')))
union
select 'there', id from there group by refund, id having count(*) > 1
union all
select 'here', here.id
from books as here anti join there on here.id = there.id and (here.kind = 'refund') = there.refund
"""


def job(bill, books):
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(books)) as text:
        sha1, columns = unpacked(bill, text)
        text.flush()
        base = duckdb.connect(config={"threads": 1})
        columns = {name: "varchar" for name in columns}
        bill = base.sql(READ_BILL.format(columns=columns), params={"bill": text.name})
        types = {name: "bigint" if name == "amount_fen" else "varchar" for name in BOOKS}
        books = base.read_csv(books, header=True, columns=types, auto_detect=False)
        base.register("bill", bill)
        base.register("books", books)
        return sha1, base.sql(DIFFERENCES).fetchall()


if __name__ == "__main__":
    run(job)
