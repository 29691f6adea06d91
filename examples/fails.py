"""A job that fails: an order with a price that is no number.

Look at the error: the exception's type and message are part of the run, no need to read the traceback.
"""

ORDERS = [{"id": 17, "price": "19.90"}, {"id": 18, "price": "n/a"}]

for order in ORDERS:
    print(f"order {order['id']}", flush=True)
    print(f"  {float(order['price']):.2f} EUR")
