"""WeChat Pay's two bills, as downloaded from `/v3/bill/tradebill` and `/v3/bill/fundflowbill`.

Documents of pay.weixin.qq.com: 交易账单详细说明 (bill-download/format-trade), 资金账单详细说明 (format-fundflow),
资金账单结构说明 (structure/fund-bill), and 下载交易账单 / 下载资金账单 of the earlier interface (doc/v2). By them:

- UTF-8, perhaps with a byte order mark; one header line, the rows, a header of totals, one line of totals.
- Every field of rows and totals begins with a backtick; fields are parted by commas. Line breaks inside a field arrive
  as the letters `\\n`, so a comma without a backtick behind it, or a line without one before it, belongs to the field.
- Amounts are yuan. Fees are written with five decimals, and are fen nevertheless.
- A refund stands in the trade bill when it was *accepted*, and is never updated there.
"""
