"""Alipay's two bills, as downloaded by `alipay.data.dataservice.bill.downloadurl.query` (`trade`, `signcustomer`).

Documents: that method's page and 对账说明 (docs.open.alipay.com/204/106262). They name the bills; what stands in the
files is taken from how public programs read them. By these:

- A zip with two CSVs in GBK, named in GBK: the details (业务明细, 账务明细) and a summary (汇总).
- Lines that begin with `#` are about the bill: whose it is (the account, 2088… and four more digits), its period, where
  the list begins and ends (`#-----…业务明细列表结束-----`), and behind that its totals.
- Numbers are padded with a tab. Amounts are yuan; what went out is negative, and so are refunds. A service fee is
  written as what it does to the shop: negative where it is paid.
"""
