"""Reconciles a day with polars on one thread. The bill is unpacked and hashed into memory, from where it is read."""
import io
import os

os.environ["POLARS_MAX_THREADS"] = "1"

import polars as pl

from reconcile_job import BOOKS, MCHID, run, unpacked


def text(column):
    """A column of the bill without its backtick."""
    return pl.col(column).str.slice(1)


def yuan(column):
    """An amount of the bill, in fen."""
    return text(column).str.replace(".", "", literal=True).cast(pl.Int64)


def job(bill, books):
    memory = io.BytesIO()
    sha1, columns = unpacked(bill, memory)
    memory.seek(0)
    refund = pl.col("交易状态") == "`REFUND"
    there = (
        pl.scan_csv(
            memory, has_header=False, skip_rows=1, new_columns=columns, quote_char=None,
            schema={name: pl.String for name in columns}, truncate_ragged_lines=True,
        )
        .filter(pl.col("申请退款金额").is_not_null())
        .select(
            refund=refund, mchid="商户号", currency="货币种类", appid=text("公众账号ID"), order_no=text("商户订单号"),
            transaction_id=text("微信订单号"), refund_id=text("微信退款单号"), state=text("退款状态"),
            id=pl.when(refund).then(text("商户退款单号")).otherwise(text("微信订单号")),
            amount_fen=pl.when(refund).then(yuan("申请退款金额")).otherwise(yuan("订单金额")),
        )
    )
    here = pl.scan_csv(
        books, quote_char=None, schema={name: pl.Int64 if name == "amount_fen" else pl.String for name in BOOKS},
    ).with_columns(refund=pl.col("kind") == "refund")

    def ours(column):
        return pl.col(f"{column}_right")

    def differs(column):
        return pl.col(column) != ours(column)

    state = pl.col("state")
    fits = (
        (state == "PROCESSING") & ours("state").is_in(["processing", "succeeded", "closed", "abnormal"])
        | (state == "SUCCESS") & (ours("state") == "succeeded")
        | (state == "FAIL") & (ours("state") == "closed")
        | (state == "CHANGE") & ours("state").is_in(["succeeded", "abnormal"])
    )
    there, here = pl.collect_all([there, here])
    wrong = (
        there.lazy()
        .join(here.lazy(), on=["refund", "id"], how="left", coalesce=True)
        .filter(
            pl.col("kind").is_null()
            | differs("order_no")
            | differs("amount_fen")
            | (pl.col("mchid") != f"`{MCHID}")
            | (pl.col("currency") != "`CNY")
            | pl.when("refund").then(differs("transaction_id") | differs("refund_id") | ~fits).otherwise(differs("appid"))
        )
        .select("id")
    )
    twice = there.lazy().group_by("refund", "id").len().filter(pl.col("len") > 1).select("id")
    absent = here.lazy().join(there.lazy(), on=["refund", "id"], how="anti").select("id")
    wrong, twice, absent = (frame["id"] for frame in pl.collect_all([wrong, twice, absent]))
    return sha1, {("there", number) for number in wrong} | {("there", number) for number in twice} | {
        ("here", number) for number in absent
    }


if __name__ == "__main__":
    run(job)
